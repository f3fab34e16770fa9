// Numbers for people.

import { ChatText } from './texts/en/chat.ts';
import { CommonText } from './texts/en/common.ts';
import { fixed, t } from './texts/text.ts';

const UNITS = [ChatText.valueKB, ChatText.valueMB, ChatText.valueGB, ChatText.valueTB] as const;

/** Few digits: one behind the point below ten. */
const short = (value: number): string => fixed(value, value < 10 ? 1 : 0);

export function bytes(count: number): string {
  if (count < 1000) return t(ChatText.valueB, { value: count });
  let value = count;
  let unit = -1;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return t(UNITS[unit] as ChatText.valueGB, { value: short(value) });
}

export function seconds(value: number): string {
  return value < 1 ? t(ChatText.valueMs, { value: Math.round(value * 1000) }) : t(CommonText.secondsS, { seconds: fixed(value, 1) });
}

export function rate(tokensPerSecond: number): string {
  return t(ChatText.valueTokS, { value: short(tokensPerSecond) });
}
