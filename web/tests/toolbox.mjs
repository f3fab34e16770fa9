// The dialog of tools, as a person works it.

export const openTools = async (page) => {
  await page.click('#attach');
  await page.click('[role=menuitem]:has-text("Tools")');
  await page.waitForSelector('dialog.tools[open]');
};

/** Writes a tool of one's own. */
export async function writeTool(page, { name, description = 'A test', schema = '', body }) {
  await openTools(page);
  await page.click('#new-tool');
  for (const [field, text] of Object.entries({ name, description, schema, body })) await page.fill(`dialog.tools [name=${field}]`, text);
  await page.click('dialog.tools .primary');
}
