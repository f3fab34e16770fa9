//! A session as bytes: its items and what the caches hold of them.
//!
//! `RULLAKV2`, the SHA-256 of everything behind it, the length of a JSON header, the header, and the halves of the caches in its
//! order. Everything is checked before the session is touched.

use crate::media::SoftTokens;
use crate::prompt::Span;
use crate::runner::longest_step;
use crate::sequence::{Item, Sequence};
use crate::{Error, Session};
use rullama_model::kv_cache::Rings;
use rullama_model::pace::MAX_CHUNK;
use rullama_model::tower::Sense;
use rullama_ops::Half;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"RULLAKV2";
/// Where what the checksum covers begins.
const BODY: usize = MAGIC.len() + 32;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    /// Weights, types and adapters, as hexadecimal digits.
    identity: String,
    kv: String,
    items: Vec<Item>,
    /// Positions that were written, or queued to be.
    written: u32,
    /// Tokens of the longest step that the rings served, where a large picture made them longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<u32>,
    /// Positions before it were not in the rings any more when that came.
    #[serde(default, skip_serializing_if = "is_zero")]
    first: u32,
    /// Layer, whether values, and bytes, in the order of the data.
    parts: Vec<(usize, bool, usize)>,
    /// Soft tokens among the items, whose rows follow the caches, so that they can be computed anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    soft: Vec<SavedSpan>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedSpan {
    start: usize,
    hearing: bool,
    rows: usize,
    hash: u64,
}

fn refuse(reason: impl Into<String>) -> Error {
    Error::SavedSession { reason: reason.into() }
}

impl Session {
    /// Bytes of caches and soft tokens that [`save`](Self::save) would give; its tokens add some for each.
    pub fn saved_bytes(&self) -> u64 {
        let soft = |span: Span| span.soft.values.len() as u64 * 4;
        let spans = self.soft.iter().filter_map(|span| span.before(self.sequence.len()));
        self.runner.cache.saved_bytes(self.runner.cache.written()) + spans.map(soft).sum::<u64>()
    }

    /// The session's tokens, keys and values, to be [restored](Self::restore) later, also by
    /// another process with the same weights, adapters and KV type.
    ///
    /// # Errors
    /// A lost device.
    pub async fn save(&self) -> Result<Vec<u8>, Error> {
        let (written, rings) = (self.runner.cache.written(), self.runner.cache.rings());
        let parts = self.runner.cache.save(self.engine().device(), written).await?;
        let spans: Vec<Span> = self.soft.iter().filter_map(|span| span.before(self.sequence.len())).collect();
        let header = Header {
            identity: hexadecimal(&self.sequence.identity),
            kv: self.engine().info().kv.into(),
            items: self.sequence.items().to_vec(),
            written,
            step: (rings.step > MAX_CHUNK).then_some(rings.step),
            first: rings.first,
            parts: parts.iter().map(|(layer, half, bytes)| (*layer, *half == Half::Values, bytes.len())).collect(),
            soft: spans.iter().map(saved_span).collect(),
        };
        let header = serde_json::to_vec(&header).map_err(|e| refuse(e.to_string()))?;
        // Once and to its size: in a browser memory that was taken stays taken.
        let mut out = Vec::with_capacity(BODY + 4 + header.len() + self.saved_bytes() as usize);
        out.extend(MAGIC);
        out.extend([0; 32]);
        out.extend((header.len() as u32).to_le_bytes());
        out.extend(header);
        parts.into_iter().for_each(|(_, _, bytes)| out.extend(bytes));
        spans.iter().for_each(|span| out.extend(bytemuck::cast_slice::<f32, u8>(&span.soft.values)));
        let sum = Sha256::digest(&out[BODY..]);
        out[MAGIC.len()..BODY].copy_from_slice(&sum);
        Ok(out)
    }

    /// A session of its own with the same adapters, tokens, keys and values: both go on apart.
    ///
    /// # Errors
    /// Too little GPU memory; a lost device.
    pub async fn fork(&self) -> Result<Session, Error> {
        let mut other = self.engine().session().await?;
        other.show_specials(self.specials);
        other.runner.attach(self.runner.attached().clone());
        let (written, rings) = (self.runner.cache.written(), self.runner.cache.rings());
        let device = self.engine().device().clone();
        let parts = self.runner.cache.save(&device, written).await?;
        let parts: Vec<_> = parts.iter().map(|(layer, half, bytes)| (*layer, *half, &bytes[..])).collect();
        other.runner.reserve_step(written, rings.step).await?;
        other.runner.cache.restore(&device, written, rings, &parts);
        other.sequence = self.sequence.clone();
        other.soft.clone_from(&self.soft);
        other.runner.set_position(other.position());
        Ok(other)
    }

    /// Replaces this session by a saved one.
    ///
    /// # Errors
    /// Damaged bytes, or bytes of other weights, adapters, KV type or a longer context; the session is then as it was.
    pub async fn restore(&mut self, saved: &[u8]) -> Result<(), Error> {
        let (header, data) = self.checked(saved)?;
        let rings = Rings { step: header.step.unwrap_or(MAX_CHUNK), first: header.first };
        let mut rest = data;
        let mut parts = Vec::new();
        for (layer, values, bytes) in header.parts {
            let Some((part, after)) = rest.split_at_checked(bytes) else { return Err(refuse("it is cut off")) };
            parts.push((layer, if values { Half::Values } else { Half::Keys }, part));
            rest = after;
        }
        let spans = self.restored_spans(&header.soft, &header.items, &mut rest)?;
        if !rest.is_empty() {
            return Err(refuse(format!("{} bytes stand behind its end", rest.len())));
        }
        self.runner.cache.check_parts(header.written, rings, &parts).map_err(refuse)?;
        self.runner.reserve_step(header.written, rings.step).await?;
        let device = self.engine().device().clone();
        self.runner.cache.restore(&device, header.written, rings, &parts);
        self.sequence = Sequence::with_items(self.sequence.identity, header.items);
        self.soft = spans;
        self.runner.set_position(self.position());
        Ok(())
    }

    /// The soft tokens that `items` name, from the beginning of `rest`.
    fn restored_spans(&self, saved: &[SavedSpan], items: &[Item], rest: &mut &[u8]) -> Result<Vec<Span>, Error> {
        let (mut spans, mut end) = (Vec::new(), 0);
        for span in saved {
            let dim = self.engine().info().dim as usize;
            let size = span.rows.checked_mul(dim * 4).filter(|_| span.rows > 0 && span.start >= end);
            let taken = size.and_then(|size| rest.split_at_checked(size));
            let Some((bytes, after)) = taken else { return Err(refuse("its soft tokens do not fit")) };
            *rest = after;
            let sense = if span.hearing { Sense::Hearing } else { Sense::Vision };
            let soft = SoftTokens::restored(sense, dim as u32, bytemuck::pod_collect_to_vec(bytes), span.hash)?;
            let place = items.get(span.start..span.start.saturating_add(span.rows));
            let same = place.is_some_and(|items| items.iter().enumerate().all(|(row, item)| item.content == soft.content(row)));
            if !same {
                return Err(refuse("its soft tokens are others than its items name"));
            }
            end = span.start + span.rows;
            spans.push(Span { start: span.start, soft: Arc::new(soft) });
        }
        let covered: usize = spans.iter().map(|span| span.range().len()).sum();
        if covered != items.iter().filter(|item| item.content != 0).count() {
            return Err(refuse("soft tokens of its items are missing"));
        }
        Ok(spans)
    }

    /// The header of bytes that are whole and belong to this model, and what stands behind it.
    fn checked<'a>(&self, saved: &'a [u8]) -> Result<(Header, &'a [u8]), Error> {
        if !saved.starts_with(MAGIC) {
            return Err(refuse("it is not a saved session, or of another version"));
        }
        let body = saved.get(BODY..).ok_or_else(|| refuse("it is cut off"))?;
        if Sha256::digest(body)[..] != saved[MAGIC.len()..BODY] {
            return Err(refuse("it is damaged or cut off: its checksum differs"));
        }
        let cut = || refuse("it is cut off");
        let (length, rest) = body.split_first_chunk::<4>().ok_or_else(cut)?;
        let (header, data) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(cut)?;
        let header: Header = serde_json::from_slice(header).map_err(|e| refuse(e.to_string()))?;
        if header.identity != hexadecimal(&self.sequence.identity) {
            return Err(refuse("it belongs to other weights, types or adapters"));
        }
        if header.kv != self.engine().info().kv {
            return Err(refuse(format!("its keys and values are {}", header.kv)));
        }
        let context = self.engine().info().context;
        if header.items.len() > header.written as usize || header.written > context {
            return Err(refuse(format!("its {} tokens do not fit the context of {context}", header.written)));
        }
        let longest = longest_step(self.engine().0.loaded.model.facts());
        if let Some(step) = header.step.filter(|step| !(MAX_CHUNK..=longest).contains(step)) {
            return Err(refuse(format!("its steps of {step} tokens are none of this model")));
        }
        let vocab = self.engine().info().vocab;
        if let Some(item) = header.items.iter().find(|item| item.id >= vocab) {
            return Err(refuse(format!("token {} is outside the vocabulary of {vocab}", item.id)));
        }
        Ok((header, data))
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn saved_span(span: &Span) -> SavedSpan {
    SavedSpan { start: span.start, hearing: span.soft.sense == Sense::Hearing, rows: span.soft.rows(), hash: span.soft.hash }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
