// What is said of a download.

import type { DownloadNotice, DownloadProgress } from 'rullama';
import { bytes } from '../format.ts';

const NOTICES: Record<DownloadNotice, string> = {
  changed: 'The file on the server is another one now: it starts again.',
  damaged: 'What was stored had a wrong checksum: it starts again.',
  'no-ranges': 'The server sends whole files only: after a pause it begins again.',
  'no-version': 'The server does not say which version it sends: after a reload it begins again.',
};

export const noticeOf = ({ notice }: DownloadProgress): string => (notice ? NOTICES[notice] : '');

/** How far it is: bytes, speed, time left. */
export function farOf({ done, total, bytesPerSecond, secondsLeft }: DownloadProgress): string {
  const amount = total === undefined ? bytes(done) : `${bytes(done)} of ${bytes(total)}`;
  const speed = bytesPerSecond === undefined ? '' : ` · ${bytes(Math.round(bytesPerSecond))}/s`;
  return `${amount}${speed}${secondsLeft === undefined || !Number.isFinite(secondsLeft) ? '' : ` · ${left(secondsLeft)} left`}`;
}

/** What happens and what is to be known of it. */
export const happensOf = (download: DownloadProgress): string => [stateOf(download), noticeOf(download)].filter(Boolean).join('. ');

/** How far a load is, and with how much of its file the chat begins, where that is not all. */
export function loadingOf(download: DownloadProgress): string {
  const { first, total } = download;
  const begins = first === undefined || total === undefined || first >= total ? '' : `. The chat begins with ${bytes(first)} of them, and the rest arrives meanwhile`;
  return `${farOf(download)}${begins}`;
}

/** What happens, where it is not simply going on. */
export function stateOf({ state, reason }: DownloadProgress): string {
  switch (state) {
    case 'asking':
      return 'Asking the server';
    case 'elsewhere':
      return 'It is being downloaded already, in another tab or here';
    case 'retrying':
      return `Trying again: ${reason ?? 'the connection broke'}`;
    case 'offline':
      return 'No network: it goes on when there is one';
    case 'checking':
      return 'Comparing the checksum';
    case 'paused':
      return 'Paused';
    case 'downloading':
      return '';
  }
}

function left(seconds: number): string {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
