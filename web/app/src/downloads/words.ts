// What is said of a download.

import type { DownloadNotice, DownloadProgress } from 'rullama';
import { bytes } from '../format.ts';
import { CommonText } from '../texts/en/common.ts';
import { ModelsText } from '../texts/en/models.ts';
import { t } from '../texts/text.ts';

const NOTICES: Record<DownloadNotice, string> = {
  changed: t(ModelsText.theFileOnThe),
  damaged: t(ModelsText.whatWasStoredHad),
  'no-ranges': t(ModelsText.theServerSendsWhole),
  'no-version': t(ModelsText.theServerDoesNot),
};

export const noticeOf = ({ notice }: DownloadProgress): string => (notice ? NOTICES[notice] : '');

/** How far it is: bytes, speed, time left. */
export function farOf({ done, total, bytesPerSecond, secondsLeft }: DownloadProgress): string {
  const amount = total === undefined ? bytes(done) : t(ModelsText.doneOfTotal, { done: bytes(done), total: bytes(total) });
  const parts = [amount];
  if (bytesPerSecond !== undefined) parts.push(t(ModelsText.amountS, { amount: bytes(Math.round(bytesPerSecond)) }));
  if (secondsLeft !== undefined && Number.isFinite(secondsLeft)) parts.push(t(ModelsText.timeLeft, { time: left(secondsLeft) }));
  return parts.join(' · ');
}

/** What happens and what is to be known of it. */
export const happensOf = (download: DownloadProgress): string => [stateOf(download), noticeOf(download)].filter(Boolean).join('. ');

/** How far a load is, and with how much of its file the chat begins, where that is not all. */
export function loadingOf(download: DownloadProgress): string {
  const { first, total } = download;
  const far = farOf(download);
  return first === undefined || total === undefined || first >= total ? far : t(ModelsText.farTheChatBegins, { far, first: bytes(first) });
}

/** What happens, where it is not simply going on. */
export function stateOf({ state, reason }: DownloadProgress): string {
  switch (state) {
    case 'asking':
      return t(ModelsText.askingTheServer);
    case 'elsewhere':
      return t(ModelsText.itIsBeingDownloaded);
    case 'retrying':
      return t(ModelsText.tryingAgainReason, { reason: reason ?? t(ModelsText.theConnectionBroke) });
    case 'offline':
      return t(ModelsText.noNetworkItGoes);
    case 'checking':
      return t(ModelsText.comparingTheChecksum);
    case 'paused':
      return t(ModelsText.paused);
    case 'downloading':
      return '';
  }
}

function left(seconds: number): string {
  if (seconds < 60) return t(CommonText.secondsS, { seconds: Math.max(1, Math.round(seconds)) });
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return t(CommonText.minutesMin, { minutes });
  return t(ModelsText.hoursHMinutesMin, { hours: Math.floor(minutes / 60), minutes: minutes % 60 });
}
