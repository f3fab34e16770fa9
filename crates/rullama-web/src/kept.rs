//! What an engine keeps by number while calls come and go.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

/// Values by number. One that is at work is taken out; what is removed meanwhile does not come back.
#[derive(Debug)]
pub struct Kept<T> {
    /// `None` for one that is at work.
    places: RefCell<HashMap<u32, Option<T>>>,
    next: Cell<u32>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Kept { places: RefCell::default(), next: Cell::new(0) }
    }
}

impl<T> Kept<T> {
    /// A new number, for a value that is still being made.
    pub fn reserve(&self) -> u32 {
        let number = self.next.get();
        self.next.set(number + 1);
        self.places.borrow_mut().insert(number, None);
        number
    }

    /// Takes a value to work with; `None` if it is removed or at work.
    pub fn take(&self, number: u32) -> Option<T> {
        self.places.borrow_mut().get_mut(&number)?.take()
    }

    /// A copy of a value that is not at work.
    pub fn get(&self, number: u32) -> Option<T>
    where
        T: Clone,
    {
        self.places.borrow().get(&number)?.clone()
    }

    /// Gives a value back after work, or for the first time. One whose number was removed meanwhile is dropped;
    /// whether it was kept.
    pub fn put_back(&self, number: u32, value: T) -> bool {
        match self.places.borrow_mut().get_mut(&number) {
            Some(place) => {
                *place = Some(value);
                true
            }
            None => false,
        }
    }

    /// Forgets a value, also one that is at work.
    pub fn remove(&self, number: u32) {
        let removed = self.places.borrow_mut().remove(&number);
        // Dropped after the borrow: a value may have a destructor of its own.
        drop(removed);
    }

    /// Forgets all values, also those at work.
    pub fn clear(&self) {
        let removed = self.places.take();
        drop(removed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    fn kept() -> (Kept<Rc<()>>, u32, Rc<()>) {
        let (kept, value) = (Kept::default(), Rc::new(()));
        let number = kept.reserve();
        assert!(kept.put_back(number, value.clone()));
        (kept, number, value)
    }

    #[test]
    fn a_value_at_work_is_busy_and_comes_back() {
        let (kept, number, value) = kept();
        let taken = kept.take(number).unwrap();
        assert!(kept.take(number).is_none());
        assert!(kept.put_back(number, taken));
        assert!(kept.take(number).is_some());
        drop(kept);
        assert_eq!(Rc::strong_count(&value), 1);
    }

    #[test]
    fn what_is_removed_at_work_does_not_come_back() {
        let removals: [fn(&Kept<Rc<()>>, u32); 2] = [|kept, number| kept.remove(number), |kept, _| kept.clear()];
        for remove in removals {
            let (kept, number, value) = kept();
            let taken = kept.take(number).unwrap();
            remove(&kept, number);
            assert!(!kept.put_back(number, taken));
            assert_eq!(Rc::strong_count(&value), 1, "the value is dropped");
            assert!(kept.take(number).is_none());
        }
    }

    #[test]
    fn a_copy_is_had_of_what_is_there() {
        let (kept, number, value) = kept();
        assert!(kept.get(number).is_some_and(|copy| Rc::ptr_eq(&copy, &value)));
        drop(kept.take(number));
        assert!(kept.get(number).is_none(), "it is at work");
        kept.remove(number);
        assert!(kept.get(number).is_none());
    }

    #[test]
    fn what_is_made_while_all_is_cleared_is_dropped() {
        let kept = Kept::default();
        let number = kept.reserve();
        kept.clear();
        assert!(!kept.put_back(number, 7));
        assert_ne!(kept.reserve(), number, "a number is given once");
    }
}
