// Ollama's store, read from its folder: manifests/HOST/NAMESPACE/MODEL/TAG name the blobs that a model is made of.

import { bytes } from '../format.ts';
import { optionsIn } from '../served.ts';
import type { Recommended } from '../settings.ts';
import { isLaterPart } from '../split.ts';
import type { Folder } from './folder.ts';
import { ModelsText } from '../texts/en/models.ts';
import { t } from '../texts/text.ts';

/** A model of the store. */
export interface StoreModel {
  name: string;
  about: string;
  recommended: Recommended;
  /** Its file or, of a split one, the files of its parts, read in place; absent where `problem` says why. */
  file?: File | File[];
  problem?: string;
}

export interface Listing {
  models: StoreModel[];
  /** Whether there are more than are listed. */
  more: boolean;
}

/** What is read of a store at most: models, and bytes of a manifest or of what stands beside the weights. */
const MOST_MODELS = 500;
const MOST_BYTES = 1 << 20;
const MOST_PARTS = 1000;
const KIND = 'application/vnd.ollama.image.';
const DIGEST = /^sha256[:-]([0-9a-f]{64})$/i;

type Json = Record<string, unknown>;
interface Layer {
  kind: string;
  digest: unknown;
  size: number;
}

/** The models in Ollama's folder, or in one above it; nothing where the folder is no store. */
export async function readStore(picked: Folder): Promise<Listing | undefined> {
  const store = await storeIn(picked);
  const manifests = await store?.folder('manifests');
  const blobs = await store?.folder('blobs');
  if (!manifests || !blobs) return undefined;
  const models: StoreModel[] = [];
  for await (const [path, manifest] of manifestsOf(manifests)) {
    if (models.length === MOST_MODELS) return { models: sorted(models), more: true };
    const name = nameOf(path);
    models.push(await readModel(name, manifest, blobs).catch((thrown: Error) => broken(name, thrown.message)));
  }
  return { models: sorted(models), more: false };
}

/** The folder with the manifests: the one picked, `models` in it (~/.ollama), or `.ollama/models` (a home). */
async function storeIn(picked: Folder): Promise<Folder | undefined> {
  const inside = async (folder: Folder | undefined, name: string) => folder?.folder(name);
  const candidates = [picked, await inside(picked, 'models'), await inside(await inside(picked, '.ollama'), 'models')];
  for (const candidate of candidates) if (await candidate?.folder('manifests')) return candidate;
  return undefined;
}

async function* manifestsOf(folder: Folder, path: string[] = []): AsyncGenerator<[string[], File]> {
  if (path.length < 3) {
    for (const name of (await folder.folders()).sort()) {
      const inner = await folder.folder(name);
      if (inner) yield* manifestsOf(inner, [...path, name]);
    }
    return;
  }
  for (const name of (await folder.files()).sort()) {
    const file = name.startsWith('.') ? undefined : await folder.file(name);
    if (file) yield [[...path, name], file];
  }
}

/** A name as Ollama shows it: without what is usual. */
function nameOf(path: string[]): string {
  const [host, namespace, model, tag] = path;
  if (host !== 'registry.ollama.ai') return `${host}/${namespace}/${model}:${tag}`;
  return namespace === 'library' ? `${model}:${tag}` : `${namespace}/${model}:${tag}`;
}

const sorted = (models: StoreModel[]) => models.sort((a, b) => a.name.localeCompare(b.name));
const broken = (name: string, problem: string): StoreModel => ({ name, about: '', recommended: { options: {} }, problem });

async function readModel(name: string, file: File, blobs: Folder): Promise<StoreModel> {
  const manifest = await json(file, t(ModelsText.itsManifest));
  const layers = (Array.isArray(manifest['layers']) ? manifest['layers'] : []).map(layerOf);
  const all = (kind: string) => layers.filter((layer) => layer.kind === kind);
  const config = await blob(blobs, layerOf(manifest['config'])).then((file) => json(file, t(ModelsText.itsDescription))).catch((): Json => ({}));
  const weights = all('model');
  const about = [config['model_type'], config['file_type']].filter((text): text is string => typeof text === 'string' && text !== '');
  const size = weights.reduce((sum, layer) => sum + layer.size, 0);
  const described = { name, about: [...about, ...(size > 0 ? [bytes(size)] : [])].join(' · '), recommended: await recommendedIn(all, blobs) };
  try {
    return { ...described, file: await weightsOf(weights, blobs) };
  } catch (thrown) {
    return { ...described, problem: (thrown as Error).message };
  }
}

/** The file of the weights; where others are parts of the same model, these as well. Ollama's own rule for what is left is the first. */
async function weightsOf(layers: Layer[], blobs: Folder): Promise<File | File[]> {
  const [layer, ...rest] = layers;
  if (!layer) throw new Error(t(ModelsText.itHasNoGGUF));
  if (rest.length >= MOST_PARTS) throw new Error(t(ModelsText.itsWeightsAreLayers, { layers: layers.length, most: MOST_PARTS }));
  const file = await whole(layer, blobs);
  const others: File[] = [];
  for (const other of rest) {
    const part = await whole(other, blobs);
    if (await isLaterPart(part)) others.push(part);
  }
  return others.length > 0 ? [file, ...others] : file;
}

async function whole(layer: Layer, blobs: Folder): Promise<File> {
  const file = await blob(blobs, layer);
  if (file.size !== layer.size) throw new Error(t(ModelsText.itsFileHasSize, { size: bytes(file.size), size2: bytes(layer.size) }));
  return file;
}

async function recommendedIn(all: (kind: string) => Layer[], blobs: Folder): Promise<Recommended> {
  const text = async ([layer]: Layer[]) => (layer ? small(await blob(blobs, layer), t(ModelsText.aPartOfIt)) : '');
  const system = await text(all('system')).catch(() => '');
  const [params] = all('params');
  const given = params ? await blob(blobs, params).then((file) => json(file, t(ModelsText.itsParameters))).catch((): Json => ({})) : {};
  const most = typeof given['num_predict'] === 'number' && given['num_predict'] > 0 ? { max_tokens: given['num_predict'] } : {};
  return { options: optionsIn({ ...given, ...most }), ...(system !== '' && { system }) };
}

function layerOf(value: unknown): Layer {
  const { mediaType, digest, size } = (typeof value === 'object' && value !== null ? value : {}) as Json;
  const kind = typeof mediaType === 'string' && mediaType.startsWith(KIND) ? mediaType.slice(KIND.length) : '';
  return { kind, digest, size: typeof size === 'number' && size >= 0 ? size : 0 };
}

/** A blob by its digest, which is checked: a manifest names nothing else. */
async function blob(blobs: Folder, { digest }: Layer): Promise<File> {
  const hex = typeof digest === 'string' ? DIGEST.exec(digest)?.[1]?.toLowerCase() : undefined;
  if (hex === undefined) throw new Error(t(ModelsText.itsManifestNamesA));
  const file = (await blobs.file(`sha256-${hex}`)) ?? (await blobs.file(`sha256:${hex}`).catch(() => undefined));
  if (!file) throw new Error(t(ModelsText.itsFileSha256Hex, { hex: hex.slice(0, 12) }));
  return file;
}

async function small(file: File, what: string): Promise<string> {
  if (file.size > MOST_BYTES) throw new Error(t(ModelsText.itCannotBeRead, { what, size: bytes(file.size) }));
  return file.text();
}

async function json(file: File, what: string): Promise<Json> {
  const text = await small(file, what);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  throw new Error(t(ModelsText.itCannotBeReadWhat, { what }));
}
