// The end of the page, which follows an answer as it grows.

export function isAtEnd(slack = 80): boolean {
  const page = document.documentElement;
  return page.scrollHeight - page.clientHeight - page.scrollTop <= slack;
}

export const toEnd = (): void => window.scrollTo({ top: document.documentElement.scrollHeight });
