//! A session as bytes: its tokens and what the caches hold of them.

use crate::{Error, Session};
use rullama_model::graph::Half;
use serde::{Deserialize, Serialize};

const MAGIC: &[u8; 8] = b"RULLAKV1";

#[derive(Serialize, Deserialize)]
struct Header {
    /// What the model must agree in.
    model: Fingerprint,
    tokens: Vec<u32>,
    /// Layer, whether values, and bytes, in the order of the data.
    parts: Vec<(usize, bool, usize)>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Fingerprint {
    name: String,
    layers: usize,
    dim: u32,
    vocab: u32,
    window: u32,
    kv: String,
}

fn refuse(reason: impl Into<String>) -> Error {
    Error::SavedSession { reason: reason.into() }
}

impl Session {
    /// The session's tokens, keys and values, to be [restored](Self::restore) later, also by
    /// another process with the same model and KV type.
    pub async fn save(&self) -> Result<Vec<u8>, Error> {
        let parts = self.runner.cache.save(self.engine().device(), self.runner.cache.written()).await?;
        let sizes = parts.iter().map(|(layer, half, bytes)| (*layer, *half == Half::Values, bytes.len())).collect();
        let header = Header { model: self.fingerprint(), tokens: self.tokens.clone(), parts: sizes };
        let header = serde_json::to_vec(&header).map_err(|e| refuse(e.to_string()))?;
        let mut out = MAGIC.to_vec();
        out.extend((self.runner.cache.written()).to_le_bytes());
        out.extend((header.len() as u32).to_le_bytes());
        out.extend(header);
        parts.iter().for_each(|(_, _, bytes)| out.extend(bytes));
        Ok(out)
    }

    /// Replaces this session by a saved one.
    ///
    /// # Errors
    /// Damaged bytes, or bytes of another model, KV type or longer context; the session is then
    /// as it was.
    pub async fn restore(&mut self, saved: &[u8]) -> Result<(), Error> {
        let word = |at: usize| saved.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
        let (Some(written), Some(length), true) = (word(8), word(12), saved.starts_with(MAGIC)) else {
            return Err(refuse("it is not a saved session, or of another version"));
        };
        let data = 16usize.saturating_add(length as usize);
        let header = saved.get(16..data).ok_or_else(|| refuse("it is cut off"))?;
        let header: Header = serde_json::from_slice(header).map_err(|e| refuse(e.to_string()))?;
        if header.model != self.fingerprint() {
            return Err(refuse(format!("it belongs to {:?}", header.model)));
        }
        let context = self.engine().0.config.context;
        if header.tokens.len() > written as usize || written > context {
            return Err(refuse(format!("its {written} tokens do not fit the context of {context}")));
        }
        let mut at = data;
        let mut parts = Vec::with_capacity(header.parts.len().min(4096));
        for (layer, values, bytes) in header.parts {
            let end = at.checked_add(bytes).filter(|end| *end <= saved.len()).ok_or_else(|| refuse("it is cut off"))?;
            parts.push((layer, if values { Half::Values } else { Half::Keys }, saved[at..end].to_vec()));
            at = end;
        }
        self.runner.reserve(written).await?;
        let device = self.engine().device().clone();
        self.runner.cache.restore(&device, written, &parts).await.map_err(|e| refuse(e.to_string()))?;
        self.tokens = header.tokens;
        Ok(())
    }

    fn fingerprint(&self) -> Fingerprint {
        let info = self.engine().info();
        let (name, kv) = (info.name.clone(), info.kv.to_string());
        Fingerprint { name, layers: info.layers, dim: info.dim, vocab: info.vocab, window: info.window, kv }
    }
}
