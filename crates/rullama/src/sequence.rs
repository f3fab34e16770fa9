//! What a session's caches hold, position by position.

use serde::{Deserialize, Serialize};

/// What stands at a position. Keys and values of a position follow from the items up to it and from what runs them: two sequences
/// may share a beginning only where their items are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Item {
    /// The token, or the placeholder that stands for a soft token.
    pub id: u32,
    /// 0 for a token; of a soft token the hash of what it was made from and its place in that.
    pub content: u64,
}

impl Item {
    pub fn token(id: u32) -> Self {
        Item { id, content: 0 }
    }
}

/// The items in the caches, and under which weights and adapters they were computed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sequence {
    /// SHA-256 of weights, types and adapters.
    pub identity: [u8; 32],
    items: Vec<Item>,
    /// The ids alone, for those who ask.
    ids: Vec<u32>,
}

impl Sequence {
    pub fn new(identity: [u8; 32]) -> Self {
        Sequence { identity, ..Default::default() }
    }

    pub fn with_items(identity: [u8; 32], items: Vec<Item>) -> Self {
        let ids = items.iter().map(|item| item.id).collect();
        Sequence { identity, items, ids }
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    pub fn items(&self) -> &[Item] {
        &self.items
    }

    pub fn extend(&mut self, ids: &[u32]) {
        self.items.extend(ids.iter().copied().map(Item::token));
        self.ids.extend(ids);
    }

    pub fn extend_items(&mut self, items: &[Item]) {
        self.items.extend(items);
        self.ids.extend(items.iter().map(|item| item.id));
    }

    pub fn truncate(&mut self, len: usize) {
        self.items.truncate(len);
        self.ids.truncate(len);
    }

    pub fn pop(&mut self) -> Option<u32> {
        self.items.pop();
        self.ids.pop()
    }

    /// Items at the beginning that `other` has too; none where other weights or adapters would have computed them.
    pub fn common(&self, identity: &[u8; 32], other: &[Item]) -> usize {
        if self.identity != *identity {
            return 0;
        }
        self.items.iter().zip(other).take_while(|(a, b)| a == b).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_shared_only_where_everything_is_the_same() {
        let picture = |content| Item { id: 7, content };
        let items = vec![Item::token(2), picture(11), picture(12), Item::token(5)];
        let sequence = Sequence::with_items([1; 32], items.clone());
        assert_eq!(sequence.common(&[1; 32], &items), 4);
        // The same ids, another picture.
        let other = [Item::token(2), picture(21), picture(22), Item::token(5)];
        assert_eq!(sequence.common(&[1; 32], &other), 1);
        // Another adapter.
        assert_eq!(sequence.common(&[2; 32], &items), 0);
        // A token where a soft token stood.
        assert_eq!(sequence.common(&[1; 32], &[Item::token(2), Item::token(7)]), 1);
    }
}
