// The button beside the message field: files, the camera, the microphone.

import { h } from '../dom.ts';
import { Menu } from '../menu.ts';
import { toast } from '../toast.ts';
import { ChatText } from '../texts/en/chat.ts';
import { MediaText } from '../texts/en/media.ts';
import { locale, t } from '../texts/text.ts';

/** A medium with a name for people. */
export interface Named {
  blob: Blob;
  name: string;
}

export class AddMenu {
  readonly button = h('button', { type: 'button', className: 'quiet add', id: 'attach', 'aria-label': t(MediaText.attachFilesOrChoose), title: t(MediaText.attachFilesOrChoose), 'aria-haspopup': 'menu' }, '+');
  readonly field = h('input', { type: 'file', id: 'attach-file', className: 'visually-hidden', tabIndex: -1, multiple: true, 'aria-label': t(MediaText.filesToAttach) });
  private readonly menu = new Menu();

  constructor(private readonly add: (media: Named[]) => void, prompts: () => void, tools: () => void) {
    this.field.onchange = () => {
      const files = [...(this.field.files ?? [])].map((blob) => ({ blob, name: blob.name }));
      this.field.value = '';
      this.add(files);
    };
    this.button.onclick = () => this.menu.open(this.button, [
      { label: t(MediaText.files), run: () => this.field.click() },
      { label: t(MediaText.camera), run: () => void this.capture('takePhoto', t(MediaText.photo), 'jpg') },
      { label: t(MediaText.microphone), run: () => void this.capture('recordSound', t(MediaText.recording), 'weba') },
      { label: t(ChatText.promptsMenu), run: prompts },
      { label: t(MediaText.tools), run: tools },
    ]);
  }

  private async capture(how: 'takePhoto' | 'recordSound', name: string, ending: string): Promise<void> {
    const blob = await import('./capture.ts').then((capture) => capture[how](), () => toast(t(MediaText.thePagesServerCannot), { ms: 8000 }));
    if (blob) this.add([{ blob, name: `${name} ${new Date().toLocaleTimeString(locale(), { hour12: false })}.${ending}` }]);
    this.button.focus();
  }
}

/** The files that were copied; of those beside a text only pictures, sounds and videos. */
export function pastedMedia(data: DataTransfer | null): Named[] {
  const isText = data?.types.includes('text/plain');
  const files = [...(data?.files ?? [])].filter(({ type }) => !isText || /^(image|audio|video)\//.test(type));
  return files.map((blob, i) => ({ blob, name: blob.name || t(MediaText.pastedValue, { value: i + 1 }) }));
}
