//! Several files as one source: the parts of a split model.

use std::{ops::Range, sync::Arc};

use crate::{
    rows::{Rearranged, Rows},
    source::{BoxFuture, ByteSource, Locality, SourceError},
};

/// Sources one after the other; an offset counts through all of them.
#[derive(Clone)]
pub struct JoinedSource {
    parts: Vec<Arc<dyn ByteSource>>,
    /// Where each part ends.
    ends: Vec<u64>,
}

impl JoinedSource {
    /// The parts of a model in their order; the first gives the name.
    pub fn new(parts: Vec<Arc<dyn ByteSource>>) -> Self {
        let ends = parts.iter().scan(0u64, |end, part| {
            *end = end.saturating_add(part.len());
            Some(*end)
        });
        Self { ends: ends.collect(), parts }
    }

    /// The pieces of `range`: each with its part, and the bytes in there.
    fn pieces(&self, range: &Range<u64>) -> impl Iterator<Item = (usize, Range<u64>)> + '_ {
        let (from, to) = (range.start, range.end);
        let first = self.ends.partition_point(|end| *end <= from);
        let bounds = move |part: usize| (part, self.ends[part] - self.parts[part].len(), self.ends[part]);
        let touched = (first..self.parts.len()).map(bounds).take_while(move |(_, start, _)| *start < to);
        touched.filter_map(move |(part, start, end)| {
            let inside = from.max(start)..to.min(end);
            (inside.start < inside.end).then(|| (part, inside.start - start..inside.end - start))
        })
    }

    async fn read_pieces(&self, offset: u64, len: usize) -> Result<Vec<u8>, SourceError> {
        SourceError::check(self.name(), self.len(), offset, len)?;
        let mut bytes = Vec::new();
        for (part, range) in self.pieces(&(offset..offset + len as u64)) {
            let piece = self.parts[part].read(range.start, (range.end - range.start) as usize).await?;
            if bytes.is_empty() { bytes = piece } else { bytes.extend_from_slice(&piece) }
        }
        Ok(bytes)
    }

    /// Rows that lie in one part are rearranged by whoever does it there.
    async fn rearrange_in_part(&self, rows: &Rows) -> Option<Rearranged> {
        let mut at = None;
        let mut inside = rows.clone();
        for run in &mut inside.stacked.runs {
            let mut pieces = self.pieces(run);
            let (Some((part, place)), None) = (pieces.next(), pieces.next()) else { return None };
            if *at.get_or_insert(part) != part {
                return None;
            }
            *run = place;
        }
        self.parts[at?].rearrange(&inside).await
    }

    /// Ranges that lie in one part are asked for there together.
    async fn read_by_part(&self, ranges: &[Range<u64>]) -> Result<Vec<Vec<u8>>, SourceError> {
        let mut out = vec![Vec::new(); ranges.len()];
        let mut by_part: Vec<Vec<(usize, Range<u64>)>> = vec![Vec::new(); self.parts.len()];
        for (i, range) in ranges.iter().enumerate() {
            let len = SourceError::check_range(self.name(), self.len(), range)?;
            let mut pieces = self.pieces(range);
            match (pieces.next(), pieces.next()) {
                (Some((part, inside)), None) => by_part[part].push((i, inside)),
                _ => out[i] = self.read_pieces(range.start, len).await?,
            }
        }
        for (part, wanted) in self.parts.iter().zip(by_part) {
            let (places, ranges): (Vec<usize>, Vec<Range<u64>>) = wanted.into_iter().unzip();
            for (i, bytes) in places.into_iter().zip(part.read_many(&ranges).await?) {
                out[i] = bytes;
            }
        }
        Ok(out)
    }
}

impl ByteSource for JoinedSource {
    fn name(&self) -> &str {
        self.parts.first().map_or("no file", |first| first.name())
    }

    fn len(&self) -> u64 {
        self.ends.last().copied().unwrap_or_default()
    }

    /// That of the dearest part.
    fn locality(&self) -> Locality {
        let any = |wanted: Locality| self.parts.iter().any(|part| part.locality() == wanted);
        match () {
            () if any(Locality::Remote) => Locality::Remote,
            () if any(Locality::Local) => Locality::Local,
            () => Locality::Memory,
        }
    }

    fn parts(&self) -> &[Arc<dyn ByteSource>] {
        &self.parts
    }

    fn read<'a>(&'a self, offset: u64, len: usize) -> BoxFuture<'a, Result<Vec<u8>, SourceError>> {
        Box::pin(self.read_pieces(offset, len))
    }

    fn read_many<'a>(&'a self, ranges: &'a [Range<u64>]) -> BoxFuture<'a, Result<Vec<Vec<u8>>, SourceError>> {
        Box::pin(self.read_by_part(ranges))
    }

    fn ahead(&self) -> usize {
        self.parts.iter().map(|part| part.ahead()).max().unwrap_or(1)
    }

    fn rearrange<'a>(&'a self, rows: &'a Rows) -> BoxFuture<'a, Option<Rearranged>> {
        Box::pin(self.rearrange_in_part(rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemorySource;
    use proptest::prelude::*;

    fn source(lens: &[usize]) -> (JoinedSource, Vec<u8>) {
        let bytes: Vec<u8> = (0..lens.iter().sum::<usize>()).map(|i| (i * 7 % 251) as u8).collect();
        let mut rest = &bytes[..];
        let mut take = |n: usize| {
            let (part, left) = rest.split_at(n);
            rest = left;
            Arc::new(MemorySource::new("part", part.to_vec())) as Arc<dyn ByteSource>
        };
        (JoinedSource::new(lens.iter().map(|n| take(*n)).collect()), bytes)
    }

    proptest! {
        #[test]
        fn as_if_it_were_one_file(
            lens in prop::collection::vec(0usize..40, 0..6),
            starts in prop::collection::vec((0usize..200, 0usize..90), 0..12),
        ) {
            let (source, bytes) = source(&lens);
            prop_assert_eq!(source.len(), bytes.len() as u64);
            let inside = starts.iter().filter(|(start, len)| start + len <= bytes.len());
            let ranges: Vec<Range<u64>> = inside.map(|&(start, len)| start as u64..(start + len) as u64).collect();
            let many = pollster::block_on(source.read_many(&ranges)).unwrap();
            for (range, part) in ranges.iter().zip(many) {
                let want = &bytes[range.start as usize..range.end as usize];
                prop_assert_eq!(&part[..], want);
                prop_assert_eq!(&pollster::block_on(source.read(range.start, want.len())).unwrap()[..], want);
            }
            let beyond = pollster::block_on(source.read(source.len(), 1));
            prop_assert!(matches!(beyond, Err(SourceError::OutOfBounds { .. })), "read behind the end");
        }
    }
}
