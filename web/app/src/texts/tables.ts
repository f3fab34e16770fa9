// All texts in all languages: for the build, which makes of each language the file that the page loads, for the tests, and for the
// compiler, which wants every text in every language. No script of the page has this in it.

import arAdapters from './ar/adapters.json' with { type: 'json' };
import arChat from './ar/chat.json' with { type: 'json' };
import arCommon from './ar/common.json' with { type: 'json' };
import arCompare from './ar/compare.json' with { type: 'json' };
import arDictation from './ar/dictation.json' with { type: 'json' };
import arFiles from './ar/files.json' with { type: 'json' };
import arMedia from './ar/media.json' with { type: 'json' };
import arModels from './ar/models.json' with { type: 'json' };
import arNotes from './ar/notes.json' with { type: 'json' };
import arSettings from './ar/settings.json' with { type: 'json' };
import arTools from './ar/tools.json' with { type: 'json' };
import arTrouble from './ar/trouble.json' with { type: 'json' };
import arTune from './ar/tune.json' with { type: 'json' };
import deAdapters from './de/adapters.json' with { type: 'json' };
import deChat from './de/chat.json' with { type: 'json' };
import deCommon from './de/common.json' with { type: 'json' };
import deCompare from './de/compare.json' with { type: 'json' };
import deDictation from './de/dictation.json' with { type: 'json' };
import deFiles from './de/files.json' with { type: 'json' };
import deMedia from './de/media.json' with { type: 'json' };
import deModels from './de/models.json' with { type: 'json' };
import deNotes from './de/notes.json' with { type: 'json' };
import deSettings from './de/settings.json' with { type: 'json' };
import deTools from './de/tools.json' with { type: 'json' };
import deTrouble from './de/trouble.json' with { type: 'json' };
import deTune from './de/tune.json' with { type: 'json' };
import { AdaptersText } from './en/adapters.ts';
import { ChatText } from './en/chat.ts';
import { CommonText } from './en/common.ts';
import { CompareText } from './en/compare.ts';
import { DictationText } from './en/dictation.ts';
import { FilesText } from './en/files.ts';
import { MediaText } from './en/media.ts';
import { ModelsText } from './en/models.ts';
import { NotesText } from './en/notes.ts';
import { SettingsText } from './en/settings.ts';
import { ToolsText } from './en/tools.ts';
import { TroubleText } from './en/trouble.ts';
import { TuneText } from './en/tune.ts';

export const ENGLISH = {
  adapters: AdaptersText,
  chat: ChatText,
  common: CommonText,
  compare: CompareText,
  dictation: DictationText,
  files: FilesText,
  media: MediaText,
  models: ModelsText,
  notes: NotesText,
  settings: SettingsText,
  tools: ToolsText,
  trouble: TroubleText,
  tune: TuneText,
};

type Tables = { [A in keyof typeof ENGLISH]: Record<keyof (typeof ENGLISH)[A], string> };

export const OTHERS = {
  ar: { adapters: arAdapters, chat: arChat, common: arCommon, compare: arCompare, dictation: arDictation, files: arFiles, media: arMedia, models: arModels, notes: arNotes, settings: arSettings, tools: arTools, trouble: arTrouble, tune: arTune },
  de: { adapters: deAdapters, chat: deChat, common: deCommon, compare: deCompare, dictation: deDictation, files: deFiles, media: deMedia, models: deModels, notes: deNotes, settings: deSettings, tools: deTools, trouble: deTrouble, tune: deTune },
} satisfies Record<string, Tables>;

/** What stands for each English text, as the page looks it up. */
export function byEnglish(language: keyof typeof OTHERS): Record<string, string> {
  const tables = OTHERS[language] as Record<string, Record<string, string>>;
  return Object.fromEntries(Object.entries(ENGLISH).flatMap(([area, table]) => Object.entries(table).map(([key, english]) => [english, tables[area]?.[key] as string])));
}
