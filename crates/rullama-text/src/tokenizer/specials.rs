//! The longest special piece at a place of a text.

use super::pieces::PieceTable;

/// The special pieces in the order of their bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Specials {
    ids: Box<[u32]>,
    /// Of each, the longest other one with which it begins, by place in `ids`; itself if there is none.
    shorter: Box<[u32]>,
    /// The bytes that they begin with.
    starts: Box<[bool]>,
}

impl Specials {
    pub(super) fn new(pieces: &PieceTable) -> Self {
        Self::of(pieces, |id| pieces.is_special(id))
    }

    /// The same for the pieces that are `wanted`.
    pub(super) fn of(pieces: &PieceTable, wanted: impl Fn(u32) -> bool) -> Self {
        let mut ids: Vec<u32> = (0..pieces.len() as u32).filter(|&id| wanted(id) && !pieces.piece(id).is_empty()).collect();
        ids.sort_by_key(|&id| pieces.piece(id));
        ids.dedup_by_key(|id| pieces.piece(*id));
        let mut shorter = Vec::with_capacity(ids.len());
        let mut starts = vec![false; 256];
        let mut around: Vec<u32> = Vec::new();
        for (place, &id) in ids.iter().enumerate() {
            let piece = pieces.piece(id);
            starts[usize::from(piece.as_bytes()[0])] = true;
            while around.last().is_some_and(|&other| !piece.starts_with(pieces.piece(ids[other as usize]))) {
                around.pop();
            }
            shorter.push(around.last().copied().unwrap_or(place as u32));
            around.push(place as u32);
        }
        Specials { ids: ids.into(), shorter: shorter.into(), starts: starts.into() }
    }

    /// The leftmost, longest special piece in `text`: its byte range and id.
    pub(super) fn find(&self, pieces: &PieceTable, text: &str) -> Option<(usize, usize, u32)> {
        let starts = text.bytes().enumerate().filter(|(_, byte)| self.starts.get(usize::from(*byte)) == Some(&true));
        starts.map(|(start, _)| start).find_map(|start| {
            let id = self.at(pieces, &text.as_bytes()[start..])?;
            Some((start, start + pieces.piece(id).len(), id))
        })
    }

    /// The longest special piece that `text` begins with: the greatest that is not above `text`, or one with which
    /// that begins.
    fn at(&self, pieces: &PieceTable, text: &[u8]) -> Option<u32> {
        let piece = |place: usize| pieces.piece(self.ids[place]).as_bytes();
        let mut place = self.ids.partition_point(|&id| pieces.piece(id).as_bytes() <= text).checked_sub(1)?;
        let common = piece(place).iter().zip(text).take_while(|(a, b)| a == b).count();
        while piece(place).len() > common {
            let shorter = self.shorter[place] as usize;
            if shorter == place {
                return None;
            }
            place = shorter;
        }
        Some(self.ids[place])
    }

    pub(super) fn memory_bytes(&self) -> usize {
        4 * (self.ids.len() + self.shorter.len()) + self.starts.len()
    }
}
