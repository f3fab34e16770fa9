//! Which experts of a layer stand in its places on the GPU.

/// A cache of few places for many experts, which gives up what was wanted longest ago.
#[derive(Debug, Clone)]
pub struct Lru {
    /// Place of each expert that is there.
    place_of: Vec<Option<u32>>,
    places: Vec<Place>,
    clock: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    expert: Option<u32>,
    /// When its expert was wanted last; 0: never.
    used: u64,
}

/// Experts that are there together, and which of them have to be brought to their places first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pass {
    /// Experts and their places.
    pub here: Vec<(u32, u32)>,
    pub missing: Vec<(u32, u32)>,
}

impl Lru {
    pub fn new(places: u32, experts: u32) -> Self {
        Lru { place_of: vec![None; experts as usize], places: vec![Place::default(); places as usize], clock: 0 }
    }

    /// The next pass for experts that are still wanted, each once: those that are there, and as many of the others as have room
    /// besides. What is missing counts as there from [`arrived`](Self::arrived) on; who had its place is gone at once.
    pub fn pass(&mut self, wanted: &[u32]) -> Pass {
        self.clock += 1;
        let mut pass = Pass::default();
        for &expert in wanted {
            if let Some(place) = self.place_of[expert as usize] {
                self.places[place as usize].used = self.clock;
                pass.here.push((expert, place));
            }
        }
        // Longest unused first.
        let mut free: Vec<u32> = (0..self.places.len() as u32).filter(|at| self.places[*at as usize].used < self.clock).collect();
        free.sort_by_key(|at| self.places[*at as usize].used);
        let missing = wanted.iter().copied().filter(|expert| self.place_of[*expert as usize].is_none());
        pass.missing = missing.zip(free).collect();
        for &(_, place) in &pass.missing {
            let gone = std::mem::take(&mut self.places[place as usize]);
            if let Some(gone) = gone.expert {
                self.place_of[gone as usize] = None;
            }
        }
        pass
    }

    /// An expert stands in its place now.
    pub fn arrived(&mut self, (expert, place): (u32, u32)) {
        self.places[place as usize] = Place { expert: Some(expert), used: self.clock };
        self.place_of[expert as usize] = Some(place);
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
        assert_eq!(ask(&mut lru, &[5]), Pass { here: vec![(5, 0)], missing: vec![] });
        assert_eq!(ask(&mut lru, &[0]).missing, [(0, 1)], "6 was wanted longest ago");
        assert_eq!(ask(&mut lru, &[6, 5]), Pass { here: vec![(5, 0)], missing: vec![(6, 2)] }, "what is wanted now stays");
    }

    #[test]
    fn what_did_not_arrive_is_not_there() {
        let mut lru = Lru::new(2, 4);
        ask(&mut lru, &[0, 1]);
        assert_eq!(lru.pass(&[2, 3]).missing, [(2, 0), (3, 1)]);
        // Nothing was read: neither the new nor the old ones are there.
        assert_eq!(lru.pass(&[0, 2]), Pass { here: vec![], missing: vec![(0, 0), (2, 1)] });
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
