//! Joining neighbouring ranges, so that many small reads become few larger ones.
//!
//! Sort by start; a range joins the group before it when it begins at most `gap` bytes after the
//! group's end and the group stays within `max` bytes. Overlapping ranges share their bytes.

use std::ops::Range;

use crate::source::{ByteSource, SourceError};

/// One read, and which of the given ranges it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The bytes to read.
    pub range: Range<u64>,
    /// Indices into the list of ranges; each lies inside `range`.
    pub members: Vec<usize>,
}

/// Groups `ranges`; every index occurs in exactly one group. A range longer than `max` stays alone.
pub fn coalesce(ranges: &[Range<u64>], gap: u64, max: u64) -> Vec<Group> {
    let mut order: Vec<usize> = (0..ranges.len()).collect();
    order.sort_by_key(|&i| (ranges[i].start, ranges[i].end));
    let mut groups: Vec<Group> = Vec::new();
    for i in order {
        let range = &ranges[i];
        if let Some(last) = groups.last_mut() {
            let end = last.range.end.max(range.end);
            let near = range.start <= last.range.end.saturating_add(gap);
            if near && (end == last.range.end || end - last.range.start <= max) {
                last.range.end = end;
                last.members.push(i);
                continue;
            }
        }
        groups.push(Group { range: range.clone(), members: vec![i] });
    }
    groups
}

/// Reads `ranges` with one [`ByteSource::read`] per group; the parts come in the order given.
///
/// # Errors
/// [`SourceError::OutOfBounds`] before anything is read, else that of the first read that fails.
pub async fn read_coalesced<S: ByteSource + ?Sized>(
    source: &S,
    ranges: &[Range<u64>],
    gap: u64,
    max: u64,
) -> Result<Vec<Vec<u8>>, SourceError> {
    for range in ranges {
        SourceError::check_range(source.name(), source.len(), range)?;
    }
    let mut parts = vec![Vec::new(); ranges.len()];
    for group in coalesce(ranges, gap, max) {
        let len = SourceError::check_range(source.name(), source.len(), &group.range)?;
        let bytes = source.read(group.range.start, len).await?;
        if let [only] = group.members[..] {
            parts[only] = bytes;
            continue;
        }
        for &i in &group.members {
            let start = (ranges[i].start - group.range.start) as usize;
            let end = (ranges[i].end - group.range.start) as usize;
            parts[i] = bytes[start..end].to_vec();
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn neighbours_join_and_strangers_do_not() {
        let groups = coalesce(&[100..110, 0..10, 12..20, 500..600], 4, 1000);
        assert_eq!(
            groups,
            [
                Group { range: 0..20, members: vec![1, 2] },
                Group { range: 100..110, members: vec![0] },
                Group { range: 500..600, members: vec![3] },
            ]
        );
        assert_eq!(coalesce(&[0..10, 10..20], 4, 15).len(), 2);
    }

    proptest! {
        #[test]
        fn each_range_is_served_once(
            starts in prop::collection::vec((0u64..1000, 0u64..50), 0..40),
            gap in 0u64..60, max in 1u64..300,
        ) {
            let ranges: Vec<Range<u64>> = starts.iter().map(|&(s, n)| s..s + n).collect();
            let mut seen = vec![0; ranges.len()];
            for group in coalesce(&ranges, gap, max) {
                for &i in &group.members {
                    seen[i] += 1;
                    prop_assert!(group.range.start <= ranges[i].start);
                    prop_assert!(ranges[i].end <= group.range.end);
                }
                if group.members.len() > 1 {
                    let longest = group.members.iter().map(|&i| ranges[i].end - ranges[i].start);
                    prop_assert!(group.range.end - group.range.start <= longest.max().unwrap().max(max));
                }
            }
            prop_assert!(seen.iter().all(|&n| n == 1));
        }
    }
}
