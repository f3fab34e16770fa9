// Draws diagrams, one after the other, in a frame of no origin (`diagrams.html`), which is handed this as a file of its own
// (`mermaid.js`): Mermaid writes style sheets and markup, which the page's own document never holds.

import mermaid, { type MermaidConfig } from 'mermaid';

/** A diagram that is wanted, in the page's colours. */
export interface Ask {
  id: number;
  source: string;
  dark: boolean;
  font: string;
  colours: Record<'accent' | 'accentSoft' | 'ground' | 'ink' | 'line' | 'raised' | 'soft' | 'surface', string>;
}

/** The diagram as a file of SVG, or what is wrong with its source; nothing where no picture came of it. */
export type Answer = { id: number; svg: string; width: number; height: number; label: string } | { id: number; error: string };

/** Lengths of what the page is told, in characters. */
const MAX_LABEL = 300;
const MAX_ERROR = 1000;
/** What no file of SVG may contain (XML 1.0, section 2.2). */
const NO_XML = /[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g;

const CONFIG: MermaidConfig = {
  startOnLoad: false,
  suppressErrorRendering: true,
  logLevel: 'fatal',
  securityLevel: 'strict',
  // Labels as text of SVG, which is drawn alike wherever the file is shown.
  htmlLabels: false,
  // What a diagram's own settings leave as it is: Mermaid's list, and what would bring markup or styles of its own.
  secure: [
    'secure', 'securityLevel', 'startOnLoad', 'maxTextSize', 'suppressErrorRendering', 'maxEdges', 'logLevel', 'htmlLabels', 'themeCSS', 'fontFamily',
    'altFontFamily', 'dompurifyConfig', 'legacyMathML', 'forceLegacyMathML',
  ],
};

/** Shares and series that are told apart by colour, each under text in the page's ink. */
const SERIES = {
  light: ['#93cabd', '#e6c08f', '#a9c8e6', '#d9b3d0', '#c9cf8f', '#c4c0b4'],
  dark: ['#2a6e61', '#7a5a24', '#345d82', '#704a68', '#5d6326', '#56544b'],
};

/** The variables for parts that have a colour each, as many as Mermaid has. */
function seriesOf(series: readonly string[], ink: string): Record<string, string> {
  const names = (i: number) => {
    const colour = series[i % series.length];
    return { [`pie${i + 1}`]: colour, [`cScale${i}`]: colour, [`cScaleLabel${i}`]: ink, [`git${i}`]: colour, [`gitBranchLabel${i}`]: ink };
  };
  return Object.assign({}, ...Array.from({ length: 12 }, (_, i) => names(i)));
}

function configOf({ dark, font, colours }: Ask): MermaidConfig {
  const { accent, accentSoft, ground, ink, line, raised, soft, surface } = colours;
  const series = SERIES[dark ? 'dark' : 'light'];
  const themeVariables = {
    darkMode: dark, background: surface, primaryColor: accentSoft, primaryBorderColor: accent, primaryTextColor: ink, secondaryColor: raised,
    secondaryBorderColor: line, secondaryTextColor: ink, tertiaryColor: ground, tertiaryBorderColor: line, tertiaryTextColor: ink, lineColor: soft,
    textColor: ink, noteBkgColor: raised, noteTextColor: ink, noteBorderColor: line, edgeLabelBackground: surface,
    pieOpacity: 1, pieStrokeColor: surface, pieOuterStrokeColor: line, archEdgeColor: soft, archEdgeArrowColor: soft, archGroupBorderColor: soft,
    ...seriesOf(series, ink),
    xyChart: {
      backgroundColor: surface, plotColorPalette: series.join(','), titleColor: ink, xAxisLabelColor: ink, xAxisTitleColor: ink, xAxisTickColor: soft,
      xAxisLineColor: soft, yAxisLabelColor: ink, yAxisTitleColor: ink, yAxisTickColor: soft, yAxisLineColor: soft,
    },
  };
  return { ...CONFIG, fontFamily: font, theme: 'base', themeVariables };
}

async function draw(ask: Ask): Promise<Answer> {
  const { id } = ask;
  // The settings of the diagram before would be read once more.
  mermaid.mermaidAPI.reset();
  mermaid.initialize(configOf(ask));
  const { svg } = await mermaid.render(`diagram-${id}`, ask.source.replace(NO_XML, ' '));
  // As data: nothing of it is shown here. Written again it is a file that XML's stricter rules allow.
  const picture = new DOMParser().parseFromString(svg, 'text/html').querySelector('svg');
  const { width, height } = sizeOf(picture);
  if (!picture || !(width > 0 && height > 0)) return { id, error: '' };
  picture.setAttribute('width', String(width));
  picture.setAttribute('height', String(height));
  picture.style.removeProperty('max-width');
  const said = ['title', 'desc'].map((name) => picture.querySelector(`:scope > ${name}`)?.textContent?.trim()).filter(Boolean);
  return { id, svg: new XMLSerializer().serializeToString(picture), width, height, label: said.join('. ').slice(0, MAX_LABEL) };
}

function sizeOf(picture: SVGSVGElement | null): { width: number; height: number } {
  const box = picture?.getAttribute('viewBox')?.trim().split(/[\s,]+/).map(Number) ?? [];
  const [width, height] = [box[2] ?? parseFloat(picture?.getAttribute('width') ?? ''), box[3] ?? parseFloat(picture?.getAttribute('height') ?? '')];
  return { width, height };
}

const post = (answer: Answer | 'drawing') => parent.parent.postMessage(answer, '*');

window.addEventListener('message', ({ data, source }: MessageEvent<Ask>) => {
  if (source !== parent.parent) return;
  const failed = (error: unknown): Answer => ({ id: data.id, error: String((error as Error | undefined)?.message ?? error).slice(0, MAX_ERROR) });
  void draw(data).catch(failed).then(post);
});
post('drawing');
