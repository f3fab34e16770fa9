//! Numbers in JSON, kept within what 64 bits hold: JSON's grammar allows 1e999, which many readers refuse.

/// Most digits before an exponent, and of an exponent: at most 1e299 together.
const DIGITS: (u32, u32) = (200, 2);

/// Where JSON stands, as far as numbers go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    #[default]
    Between,
    Text,
    /// Behind a backslash in a text.
    Escape,
    Number {
        digits: u32,
    },
    Exponent {
        digits: u32,
    },
}

impl Place {
    fn after(self, byte: u8) -> Place {
        match (self, byte) {
            (Place::Text, b'\\') => Place::Escape,
            (Place::Text, b'"') => Place::Between,
            (Place::Text | Place::Escape, _) => Place::Text,
            (Place::Number { digits }, b'0'..=b'9') => Place::Number { digits: digits + 1 },
            (Place::Number { digits }, b'.') => Place::Number { digits },
            (Place::Number { .. }, b'e' | b'E') => Place::Exponent { digits: 0 },
            (Place::Exponent { digits }, b'0'..=b'9') => Place::Exponent { digits: digits + 1 },
            (Place::Exponent { digits: 0 }, b'+' | b'-') => self,
            (_, b'"') => Place::Text,
            (_, b'0'..=b'9') => Place::Number { digits: 1 },
            _ => Place::Between,
        }
    }

    fn fits(self) -> bool {
        match self {
            Place::Number { digits } => digits <= DIGITS.0,
            Place::Exponent { digits } => digits <= DIGITS.1,
            _ => true,
        }
    }
}

/// Follows an answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Numbers(Place);

impl Numbers {
    /// Goes on behind these bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |place, byte| place.after(*byte));
    }

    /// Takes the tokens out of a mask that make a number too long, unless nothing is left then. They begin within one: no vocabulary
    /// has a token of so many digits.
    pub fn restrict<'a>(&self, mask: &mut [u32], bytes_of: impl Fn(u32) -> &'a [u8]) {
        if !matches!(self.0, Place::Number { .. } | Place::Exponent { .. }) {
            return;
        }
        let too_long = |id: u32| {
            let mut place = self.0;
            bytes_of(id).iter().any(|byte| {
                place = place.after(*byte);
                !place.fits()
            })
        };
        let bits = |word: u32| (0..32).filter(move |bit| word >> bit & 1 == 1);
        let ids = || mask.iter().enumerate().flat_map(|(at, word)| bits(*word).map(move |bit| at as u32 * 32 + bit));
        let long: Vec<u32> = ids().filter(|id| too_long(*id)).collect();
        if long.len() < ids().count() {
            long.into_iter().for_each(|id| mask[id as usize / 32] &= !(1 << (id % 32)));
        }
    }
}
