//! Which of many things stand in few places on the GPU: a layer's experts, a table's rows.

use std::collections::BTreeSet;

/// A cache of few places for many items, which gives up what was wanted longest ago.
#[derive(Debug, Clone)]
pub struct Lru {
    /// Place of each item that is there.
    place_of: Vec<Option<u32>>,
    places: Vec<Place>,
    /// Places by when their item was wanted last; 0: never.
    order: BTreeSet<(u64, u32)>,
    clock: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    item: Option<u32>,
    /// When it was wanted last, as in the order, and when it came.
    used: u64,
    since: u64,
}

/// Items that are there together, and which of them have to be brought to their places first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pass {
    /// Items and their places.
    pub here: Vec<(u32, u32)>,
    pub missing: Vec<(u32, u32)>,
    /// Items that lost their places to them.
    pub gone: Vec<u32>,
}

impl Lru {
    pub fn new(places: u32, items: u32) -> Self {
        let order = (0..places).map(|place| (0, place)).collect();
        Lru { place_of: vec![None; items as usize], places: vec![Place::default(); places as usize], order, clock: 0 }
    }

    /// Counts passes: what is there at a time of this clock.
    pub fn clock(&self) -> u64 {
        self.clock
    }

    pub fn places(&self) -> u32 {
        self.places.len() as u32
    }

    /// Where an item is, if it is there.
    pub fn place(&self, item: u32) -> Option<u32> {
        self.place_of.get(item as usize).copied().flatten()
    }

    /// Whether an item is there and was so at that time of the clock; it then counts as wanted now. One that went and came back
    /// since was, as far as this tells, not there.
    pub fn was_there(&mut self, item: u32, clock: u64) -> bool {
        let found = self.place(item).filter(|place| self.places[*place as usize].since <= clock);
        found.inspect(|place| self.touch(*place)).is_some()
    }

    fn touch(&mut self, place: u32) {
        let used = &mut self.places[place as usize].used;
        self.order.remove(&(*used, place));
        *used = self.clock;
        self.order.insert((self.clock, place));
    }

    /// The next pass for items that are still wanted, each once: those that are there, and as many of the others as have room
    /// besides. What is missing counts as there from [`arrived`](Self::arrived) on; who had its place is gone at once.
    pub fn pass(&mut self, wanted: &[u32]) -> Pass {
        self.clock += 1;
        let mut pass = Pass::default();
        let mut missing = Vec::new();
        for &item in wanted {
            match self.place(item) {
                Some(place) => {
                    self.touch(place);
                    pass.here.push((item, place));
                }
                None => missing.push(item),
            }
        }
        // Longest unused first.
        let free = self.order.iter().take_while(|(used, _)| *used < self.clock).map(|(_, place)| *place);
        pass.missing = missing.into_iter().zip(free).collect();
        for &(_, place) in &pass.missing {
            let Place { item, used, .. } = std::mem::take(&mut self.places[place as usize]);
            self.order.remove(&(used, place));
            self.order.insert((0, place));
            if let Some(item) = item {
                self.place_of[item as usize] = None;
                pass.gone.push(item);
            }
        }
        pass
    }

    /// An item stands in its place now.
    pub fn arrived(&mut self, (item, place): (u32, u32)) {
        self.places[place as usize] = Place { item: Some(item), since: self.clock, ..self.places[place as usize] };
        self.touch(place);
        self.place_of[item as usize] = Some(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(lru: &mut Lru, wanted: &[u32]) -> Pass {
        let pass = lru.pass(wanted);
        pass.missing.iter().for_each(|one| lru.arrived(*one));
        pass
    }

    #[test]
    fn what_was_wanted_longest_ago_goes() {
        let mut lru = Lru::new(3, 8);
        assert_eq!(ask(&mut lru, &[5]).missing, [(5, 0)]);
        assert_eq!(ask(&mut lru, &[6]).missing, [(6, 1)]);
        assert_eq!(ask(&mut lru, &[7]).missing, [(7, 2)]);
        assert_eq!(ask(&mut lru, &[5]), Pass { here: vec![(5, 0)], ..Pass::default() });
        assert_eq!(ask(&mut lru, &[0]).missing, [(0, 1)], "6 was wanted longest ago");
        assert_eq!(ask(&mut lru, &[6, 5]), Pass { here: vec![(5, 0)], missing: vec![(6, 2)], gone: vec![7] }, "what is wanted now stays");
    }

    #[test]
    fn what_did_not_arrive_is_not_there() {
        let mut lru = Lru::new(2, 4);
        ask(&mut lru, &[0, 1]);
        assert_eq!(lru.pass(&[2, 3]).missing, [(2, 0), (3, 1)]);
        // Nothing was read: neither the new nor the old ones are there.
        assert_eq!(lru.pass(&[0, 2]), Pass { missing: vec![(0, 0), (2, 1)], ..Pass::default() });
    }

    #[test]
    fn what_came_or_went_since_was_not_there() {
        let mut lru = Lru::new(2, 4);
        ask(&mut lru, &[0]);
        let then = lru.clock();
        assert!(lru.was_there(0, then) && !lru.was_there(1, then) && !lru.was_there(9, then));
        ask(&mut lru, &[1]);
        assert!(!lru.was_there(1, then) && lru.was_there(1, lru.clock()) && lru.was_there(0, then));
        ask(&mut lru, &[0]);
        assert_eq!(ask(&mut lru, &[2]).gone, [1], "0 was asked for since");
        assert_eq!([ask(&mut lru, &[3]).gone, ask(&mut lru, &[0]).gone], [[0], [2]]);
        assert!(!lru.was_there(0, then) && lru.was_there(0, lru.clock()), "it was away");
    }

    /// Against the definition, by brute force: in turn every wanted expert comes, none twice, none in the place of one of its pass.
    #[test]
    fn passes_bring_all_that_is_wanted() {
        let mut state = 1u64;
        let mut random = move |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % n
        };
        for _ in 0..50 {
            let (places, experts) = (1 + random(6) as u32, 12);
            let mut lru = Lru::new(places, experts);
            // By recency: the last ones are there.
            let mut order: Vec<u32> = Vec::new();
            for _ in 0..40 {
                let mut left: Vec<u32> = (0..experts).filter(|_| random(3) == 0).collect();
                let there: Vec<u32> = order.iter().rev().take(places as usize).copied().collect();
                let mut first = true;
                while !left.is_empty() {
                    let pass = ask(&mut lru, &left);
                    if first {
                        let hits: Vec<u32> = pass.here.iter().map(|one| one.0).collect();
                        assert_eq!(hits, left.iter().copied().filter(|expert| there.contains(expert)).collect::<Vec<_>>());
                    }
                    first = false;
                    let both: Vec<(u32, u32)> = pass.here.iter().chain(&pass.missing).copied().collect();
                    let mut taken: Vec<u32> = both.iter().map(|one| one.1).collect();
                    taken.sort_unstable();
                    taken.dedup();
                    assert_eq!(taken.len(), both.len());
                    assert!(!both.is_empty() && taken.iter().all(|place| *place < places));
                    for (expert, _) in &both {
                        assert!(left.contains(expert));
                        left.retain(|other| other != expert);
                        order.retain(|other| other != expert);
                        order.push(*expert);
                    }
                    // Of one pass all are equally recent: they are given up in the order of their places.
                    let from = order.len() - both.len();
                    order[from..].sort_by_key(|expert| both.iter().find(|one| one.0 == *expert).map(|one| one.1));
                }
            }
        }
    }
}
