//! Pictures and sounds: the towers of a model, loaded when the first medium comes, and the soft tokens that they make.

use crate::{Cancel, Engine, Error};
use rullama_gpu::Spare;
use rullama_media::{Picture, SizeRule, Sound};
use rullama_model::model::open_tower;
use rullama_model::tower::{Features, LoadedTower, Sense, Tower, TowerOutputs, Wants};
use rullama_source::ByteSource;
use rullama_source::gguf::Gguf;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

/// Bytes of soft tokens that an engine keeps, so that the next turn of a conversation need not encode its media again.
const KEPT_BYTES: usize = 64 << 20;

/// Something to perceive.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Medium {
    /// A picture, and how its size is chosen.
    Picture(Arc<Picture>, SizeRule),
    /// A sound, in windows of 30 s that are heard each for itself.
    Sound(Arc<Sound>),
    /// Soft embeddings as numbers.
    Soft(Arc<SoftTokens>),
}

impl Medium {
    /// A picture in the default size.
    pub fn picture(picture: Picture) -> Self {
        Medium::Picture(Arc::new(picture), SizeRule::default())
    }

    pub fn sound(sound: Sound) -> Self {
        Medium::Sound(Arc::new(sound))
    }

    /// What perceives it.
    pub fn sense(&self) -> Sense {
        match self {
            Medium::Picture(..) => Sense::Vision,
            Medium::Sound(_) => Sense::Hearing,
            Medium::Soft(soft) => soft.sense,
        }
    }

    /// SHA-256 of what it is, so that the same is encoded once.
    fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        match self {
            Medium::Picture(picture, rule) => {
                hash.update(picture.hash());
                hash.update(format!("{rule:?}"));
            }
            Medium::Sound(sound) => hash.update(sound.hash()),
            Medium::Soft(soft) => hash.update(soft.hash.to_le_bytes()),
        }
        hash.finalize().into()
    }

    /// What a tower reads of it, part after part.
    pub(crate) fn features(&self, wants: Wants) -> Result<Vec<Features>, Error> {
        let frames = |cols: u32, parts: Vec<Vec<f32>>| {
            let part = |values: Vec<f32>| Features { cols, grid: (1, values.len() as u32 / cols.max(1)), values };
            parts.into_iter().map(part).collect()
        };
        match (self, wants) {
            (Medium::Picture(picture, rule), Wants::Patches { patch, pool, budget }) => {
                let patches = picture.patches(rule.of_model(budget), patch, pool)?;
                Ok(vec![Features { cols: patches.cols() as u32, values: patches.scaled(), grid: patches.grid }])
            }
            (Medium::Sound(sound), Wants::Mel { bins }) => Ok(frames(bins, sound.mel(bins)?)),
            (Medium::Sound(sound), Wants::Samples { frame }) => Ok(frames(frame, sound.frames(frame))),
            _ => {
                Err(Error::InvalidArgument { name: "medium", value: format!("{:?}", self.sense()), reason: "is for another tower".into() })
            }
        }
    }
}

/// Rows that stand in a prompt in the place of tokens.
#[derive(Debug, PartialEq)]
pub struct SoftTokens {
    pub sense: Sense,
    /// Width of the text model.
    pub dim: u32,
    /// `[rows, dim]`
    pub values: Vec<f32>,
    /// Tells these rows from others.
    pub(crate) hash: u64,
}

impl SoftTokens {
    /// Soft tokens from numbers `[rows, dim]`.
    ///
    /// # Errors
    /// No rows, a part of one, a value that is not finite.
    pub fn new(sense: Sense, dim: u32, values: Vec<f32>) -> Result<Self, Error> {
        let refused = |value: String, reason: &str| Err(Error::InvalidArgument { name: "soft tokens", value, reason: reason.into() });
        if dim == 0 || values.is_empty() || !values.len().is_multiple_of(dim as usize) {
            return refused(format!("{} values", values.len()), &format!("is no number of whole rows of {dim}"));
        }
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return refused(value.to_string(), "is not finite");
        }
        let sum = Sha256::digest(bytemuck::cast_slice::<f32, u8>(&values));
        // 0 is for tokens.
        let hash = u64::from_le_bytes(sum[..8].try_into().unwrap_or_default()).max(1);
        Ok(SoftTokens { sense, dim, values, hash })
    }

    /// Soft tokens that were given `hash` before, of which the last rows may have gone.
    pub(crate) fn restored(sense: Sense, dim: u32, values: Vec<f32>, hash: u64) -> Result<Self, Error> {
        Ok(SoftTokens { hash, ..SoftTokens::new(sense, dim, values)? })
    }

    pub fn rows(&self) -> usize {
        self.values.len() / self.dim as usize
    }

    /// The first `rows` of them, which go by the same name.
    pub(crate) fn first(&self, rows: usize) -> SoftTokens {
        let values = self.values[..rows * self.dim as usize].to_vec();
        SoftTokens { sense: self.sense, dim: self.dim, values, hash: self.hash }
    }

    /// Its hash at a row.
    pub(crate) fn content(&self, row: usize) -> u64 {
        let mixed = (self.hash ^ row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 32)).max(1)
    }
}

/// What a tower read and made of a medium.
#[derive(Debug)]
pub struct Perceived {
    pub features: Features,
    /// `tower`, `soft_tokens` and, where asked for, the stages between.
    pub outputs: TowerOutputs,
}

impl Perceived {
    /// Puts what was made of the medium's next part behind it.
    fn append(&mut self, features: Features, outputs: TowerOutputs) {
        self.features.values.extend(features.values);
        self.features.grid.1 += features.grid.1;
        for (name, (values, cols)) in outputs {
            self.outputs.entry(name).or_insert_with(|| (Vec::new(), cols)).0.extend(values);
        }
    }

    /// The soft tokens, to stand in a prompt for a text model of width `dim`.
    ///
    /// # Errors
    /// A value that is not finite.
    pub fn soft(&self, sense: Sense, dim: u32) -> Result<SoftTokens, Error> {
        let values = self.outputs.get("soft_tokens").map(|output| output.0.clone()).unwrap_or_default();
        if values.iter().any(|value| !value.is_finite()) {
            return Err(Error::NotANumber { place: format!("the tower of {sense}") });
        }
        SoftTokens::new(sense, dim, values)
    }
}

/// An engine's towers.
#[derive(Default)]
pub(crate) struct Senses {
    /// A file of towers beside the model's.
    projector: Mutex<Option<Arc<dyn ByteSource>>>,
    towers: Mutex<HashMap<Sense, Arc<LoadedTower>>>,
    /// Whose turn it is to load one.
    loading: async_lock::Mutex<()>,
    /// What towers read, as far as somebody asked.
    wants: Mutex<HashMap<Sense, Wants>>,
    kept: Mutex<VecDeque<([u8; 32], Arc<SoftTokens>)>>,
}

/// Towers that nobody uses just now.
impl Spare for Senses {
    fn release(&self) -> bool {
        let mut towers = lock(&self.towers);
        let before = towers.len();
        towers.retain(|_, tower| Arc::strong_count(tower) > 1);
        towers.len() < before
    }
}

impl Engine {
    /// Takes towers from another file than the model's, such as llama.cpp's `mmproj`. It is opened when a medium comes.
    pub async fn set_projector(&self, source: Option<Arc<dyn ByteSource>>) {
        *lock(&self.0.senses.projector) = source;
        lock(&self.0.senses.wants).clear();
        self.release_towers().await;
    }

    /// Frees the memory of towers and of what they made; the next medium loads them again. Where the GPU has no room for something else,
    /// towers that are not in use go by themselves.
    pub async fn release_towers(&self) {
        let _turn = self.0.senses.loading.lock().await;
        lock(&self.0.senses.towers).clear();
        lock(&self.0.senses.kept).clear();
    }

    /// Bytes of towers on the GPU.
    pub async fn tower_bytes(&self) -> u64 {
        lock(&self.0.senses.towers).values().map(|tower| tower.bytes()).sum()
    }

    /// The soft tokens of a medium; those of the last ones are kept.
    ///
    /// # Errors
    /// A model without such a tower, a medium that cannot be, no memory, a lost device; [`Error::Cancelled`].
    pub async fn encode(&self, medium: &Medium, cancel: &Cancel) -> Result<Arc<SoftTokens>, Error> {
        let dim = self.0.info.dim;
        if let Medium::Soft(soft) = medium {
            if soft.dim != dim {
                let reason = format!("is the width of these soft tokens, but the model's is {dim}");
                return Err(Error::InvalidArgument { name: "dim", value: soft.dim.to_string(), reason });
            }
            return Ok(soft.clone());
        }
        let hash = medium.hash();
        if let Some(known) = lock(&self.0.senses.kept).iter().find(|kept| kept.0 == hash) {
            return Ok(known.1.clone());
        }
        let soft = Arc::new(self.perceive(medium, false, cancel).await?.soft(medium.sense(), dim)?);
        let mut kept = lock(&self.0.senses.kept);
        kept.push_back((hash, soft.clone()));
        while kept.len() > 1 && kept.iter().map(|kept| kept.1.values.len() * 4).sum::<usize>() > KEPT_BYTES {
            kept.pop_front();
        }
        Ok(soft)
    }

    /// Whether the model has a tower for a sense; nothing is loaded for it.
    ///
    /// # Errors
    /// A file of towers that cannot be read.
    pub async fn perceives(&self, sense: Sense) -> Result<bool, Error> {
        match self.wants(sense).await {
            Ok(_) => Ok(true),
            Err(Error::NoTower { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Everything that a tower makes of a medium, for comparison with other programs; `taps` keeps the stages.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub async fn perceive(&self, medium: &Medium, taps: bool, cancel: &Cancel) -> Result<Perceived, Error> {
        let tower = self.tower(medium.sense(), cancel).await?;
        let mut perceived: Option<Perceived> = None;
        for features in medium.features(tower.tower.wants())? {
            let outputs = tower.encode(self.loaded(), &features, taps, &|| cancel.is_cancelled()).await?;
            match &mut perceived {
                None => perceived = Some(Perceived { features, outputs }),
                Some(before) => before.append(features, outputs),
            }
        }
        perceived.ok_or_else(|| Error::InvalidArgument { name: "medium", value: "nothing".into(), reason: "has no parts".into() })
    }

    /// Pixels that a side of a soft token of a picture stands for, and how many of these a picture takes where nobody says.
    ///
    /// # Errors
    /// A model that sees no pictures.
    pub async fn picture_side(&self) -> Result<(u32, u32), Error> {
        match self.wants(Sense::Vision).await? {
            Wants::Patches { patch, pool, budget } => Ok((patch * pool, budget)),
            _ => Err(Error::NoTower { sense: Sense::Vision, model: self.0.info.name.clone() }),
        }
    }

    /// The tower of a sense, loaded at its first use.
    #[allow(clippy::arc_with_non_send_sync, reason = "GPU handles are not Send in a browser, where everything is one thread")]
    pub(crate) async fn tower(&self, sense: Sense, cancel: &Cancel) -> Result<Arc<LoadedTower>, Error> {
        let _turn = self.0.senses.loading.lock().await;
        if let Some(tower) = lock(&self.0.senses.towers).get(&sense) {
            return Ok(tower.clone());
        }
        let (tower, source) = self.described(sense).await?;
        let mut go_on = |_, _| !cancel.is_cancelled();
        let tower = Arc::new(LoadedTower::load(self.loaded(), tower, &*source, &mut go_on).await?);
        lock(&self.0.senses.towers).insert(sense, tower.clone());
        Ok(tower)
    }

    /// What the tower of a sense reads; nothing is loaded for it.
    ///
    /// # Errors
    /// A model without such a tower.
    pub(crate) async fn wants(&self, sense: Sense) -> Result<Wants, Error> {
        if let Some(known) = lock(&self.0.senses.wants).get(&sense) {
            return Ok(*known);
        }
        let wants = self.described(sense).await?.0.wants();
        lock(&self.0.senses.wants).insert(sense, wants);
        Ok(wants)
    }

    /// The tower of a sense as a file describes it, and the file.
    async fn described(&self, sense: Sense) -> Result<(Arc<dyn Tower>, Arc<dyn ByteSource>), Error> {
        let beside = lock(&self.0.senses.projector).clone();
        for source in beside.into_iter().chain([self.loaded().source.clone()]) {
            let gguf = Gguf::open(&*source).await?;
            if let Some(tower) = open_tower(&gguf, sense, self.0.info.dim)? {
                return Ok((tower, source));
            }
        }
        Err(Error::NoTower { sense, model: self.0.info.name.clone() })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
