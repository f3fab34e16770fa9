//! Pictures and sounds of a loaded model's conversations. The page decodes files, since a browser has decoders; here are pixels and
//! samples, and the soft tokens that towers make of them, kept by the names under which messages show them.

use js_sys::{Float32Array, Uint8Array};
use rullama::perception::MediaError;
use rullama::source::ByteSource;
use rullama::{Chat, Error, Extent, Gallery, Medium, Message, Picture, Prompt, Sense, SizeRule, SoftTokens, Sound};
use serde::Deserialize;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};

use crate::engine::WebEngine;
use crate::error::WebError;
use crate::source::{self, Reading, Store};
use crate::{js, options};

/// Bytes of soft tokens that are kept beside those that conversations show.
const KEPT_BYTES: usize = 128 << 20;

/// Soft tokens by name, the latest last.
#[derive(Default)]
pub struct Shown(RefCell<VecDeque<(String, Arc<SoftTokens>)>>);

impl Shown {
    fn get(&self, source: &str) -> Option<Arc<SoftTokens>> {
        self.0.borrow().iter().find(|kept| kept.0 == source).map(|kept| kept.1.clone())
    }

    fn put(&self, source: String, soft: Arc<SoftTokens>) {
        let mut kept = self.0.borrow_mut();
        kept.retain(|known| known.0 != source);
        kept.push_back((source, soft));
        while kept.len() > 1 && kept.iter().map(|kept| kept.1.values.len() * 4).sum::<usize>() > KEPT_BYTES {
            kept.pop_front();
        }
    }

    /// Lets go of all.
    pub fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}

/// How much there is of a medium.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum Size {
    Image {
        width: u32,
        height: u32,
        #[serde(default)]
        budget: Option<u32>,
    },
    Audio {
        samples: usize,
    },
}

impl TryFrom<Size> for Extent {
    type Error = WebError;

    fn try_from(size: Size) -> Result<Self, WebError> {
        Ok(match size {
            Size::Image { width, height, budget } => Extent::Picture { width, height, rule: rule(budget)? },
            Size::Audio { samples } => Extent::Sound { samples },
        })
    }
}

#[wasm_bindgen]
impl WebEngine {
    /// Soft tokens of `{ kind: 'image', width, height, budget }` or `{ kind: 'audio', samples }`, JSON.
    pub async fn media_cost(&self, size: String) -> Result<u32, JsValue> {
        let size: Size = options::parse("size of a medium", &size)?;
        Ok(self.engine()?.cost(size.try_into()?).await.map_err(blind)?)
    }

    /// Of names, JSON, the places of those that nothing was perceived of yet.
    pub fn media_unknown(&self, sources: &str) -> Result<Vec<u32>, JsValue> {
        let sources: Vec<String> = options::parse("names of media", sources)?;
        let unknown = |(place, source): (usize, &String)| self.shown.get(source).is_none().then_some(place as u32);
        Ok(sources.iter().enumerate().filter_map(unknown).collect())
    }

    /// Perceives `{ kind: 'image', data, width, height, budget }`, pixels of red, green, blue and alpha; `{ kind: 'audio', samples }`,
    /// one channel at 16 kHz; or `{ soft: 'image' | 'audio', values }`, soft tokens; under the name by which messages show it. Gives
    /// the number of its soft tokens.
    pub async fn perceive(&self, source: String, medium: JsValue) -> Result<u32, JsValue> {
        let cancel = self.fresh_cancel();
        let engine = self.engine()?;
        let medium = medium_of(&medium, engine.info().dim)?;
        let soft = engine.encode(&medium, &cancel).await.map_err(blind)?;
        let rows = soft.rows() as u32;
        self.shown.put(source, soft);
        Ok(rows)
    }

    /// The numbers of a medium that was perceived, row after row.
    pub fn soft_tokens(&self, source: &str) -> Result<Float32Array, JsValue> {
        let soft = self.shown.get(source).ok_or_else(|| forgotten(source))?;
        Ok(Float32Array::from(&soft.values[..]))
    }

    /// Takes towers from another file, `{ url }` or `{ blob, name }`, or from the model's own again.
    pub async fn set_projector(&self, source: JsValue, store: String) -> Result<(), JsValue> {
        let store: Store = options::parse("option `store`", &store)?;
        let engine = self.engine()?;
        let mut bytes: Option<Arc<dyn ByteSource>> = None;
        if !source.is_null() && !source.is_undefined() {
            let reading = Reading { store, by_rows: false, may_arrive: false };
            bytes = Some(source::open(&source, reading).await?.bytes);
        }
        engine.set_projector(bytes).await;
        // What another tower made of a medium is not what this one would.
        self.shown.clear();
        Ok(())
    }

    /// Frees the memory of towers; the next medium loads them again.
    pub async fn release_towers(&self) -> Result<(), JsValue> {
        self.engine()?.release_towers().await;
        Ok(())
    }
}

impl WebEngine {
    /// Gives a conversation the media that its messages show, and no others.
    pub fn arrange(&self, chat: &mut Chat) {
        let gallery = self.gallery(chat.messages(), chat.gallery());
        chat.set_gallery(gallery);
    }

    /// The media that messages show, of which `before` has what others have pushed out.
    pub fn gallery(&self, messages: &[Message], before: &Gallery) -> Gallery {
        let mut gallery = Gallery::default();
        for part in messages.iter().flat_map(Message::media) {
            let soft = self.shown.get(&part.source).or_else(|| before.get(part).cloned());
            if let Some(soft) = soft {
                gallery.insert(part, soft);
            }
        }
        gallery
    }

    /// Ids with what stands for their placeholders, by names, JSON.
    pub fn prompt(&self, ids: Vec<u32>, media: &str) -> Result<Prompt, WebError> {
        let sources: Vec<String> = options::parse("names of media", media)?;
        let soft = sources.iter().map(|source| self.shown.get(source).ok_or_else(|| forgotten(source))).collect::<Result<Vec<_>, _>>()?;
        Ok(Prompt::new(&self.engine()?, ids, &soft)?)
    }
}

/// Says how many soft tokens the media of a prompt have, by their names.
pub fn count(segments: &mut [rullama::text::Segment], soft: &HashMap<String, u32>) {
    rullama::text::chat::expand(segments, |part| soft.get(&*part.source).map(|tokens| *tokens as usize));
}

fn forgotten(source: &str) -> WebError {
    WebError::Argument { what: format!("Nothing is known of the medium {source}.") }
}

/// The engine's error; of a model without towers in words for callers of this package.
fn blind(error: Error) -> WebError {
    match error {
        Error::NoTower { sense, model } => WebError::NoTower { sense, model },
        other => other.into(),
    }
}

fn media_error(error: MediaError) -> WebError {
    WebError::Engine(error.into())
}

fn rule(budget: Option<u32>) -> Result<SizeRule, WebError> {
    budget.map_or(Ok(SizeRule::default()), SizeRule::fill).map_err(media_error)
}

fn medium_of(value: &JsValue, dim: u32) -> Result<Medium, WebError> {
    let number = |name: &str| js::get(value, name).as_f64().map(|number| number as u32);
    if let Some(kind) = js::get_string(value, "soft") {
        let sense = if kind == "audio" { Sense::Hearing } else { Sense::Vision };
        return Ok(Medium::Soft(Arc::new(SoftTokens::new(sense, dim, floats(value, "values")?)?)));
    }
    match js::get_string(value, "kind").as_deref() {
        Some("audio") => Ok(Medium::sound(Sound::new(floats(value, "samples")?).map_err(media_error)?)),
        Some("image") => {
            let data = Uint8Array::new(&js::get(value, "data")).to_vec();
            let picture = Picture::from_rgba(number("width").unwrap_or(0), number("height").unwrap_or(0), &data).map_err(media_error)?;
            Ok(Medium::Picture(Arc::new(picture), rule(number("budget"))?))
        }
        _ => Err(WebError::Argument { what: "A medium is neither a picture nor a sound.".to_owned() }),
    }
}

fn floats(value: &JsValue, name: &str) -> Result<Vec<f32>, WebError> {
    let array = js::get(value, name).dyn_into::<Float32Array>();
    array.map(|array| array.to_vec()).map_err(|_| WebError::Argument { what: format!("`{name}` is no Float32Array.") })
}
