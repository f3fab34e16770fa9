//! Requests for one engine: answered one after the other, each with an id by which it can be stopped.
//!
//! Whoever answers takes [`Turn`]s; whoever asked holds a [`Ticket`], and to drop it is to stop the request. Neither
//! side needs a thread or a certain executor.

use crate::Cancel;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};

/// Tells a request from all others of its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a request is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    #[error("{limit} requests wait already. Try again later")]
    Full { limit: usize },
    #[error("no more requests are answered. Start the engine again")]
    Closed,
}

/// A bounded queue; clones share it.
pub struct Queue<T>(Arc<Mutex<State<T>>>);

struct State<T> {
    waiting: VecDeque<(RequestId, Cancel, T)>,
    running: BTreeMap<RequestId, Cancel>,
    limit: usize,
    given: u64,
    closed: bool,
    /// Who waits for a request.
    idle: Vec<Waker>,
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Queue(Arc::clone(&self.0))
    }
}

impl<T> Queue<T> {
    /// A queue in which `limit` requests may wait, those that are being answered not counted.
    pub fn new(limit: usize) -> Self {
        let (waiting, running, idle) = Default::default();
        Queue(Arc::new(Mutex::new(State { waiting, running, limit, given: 0, closed: false, idle })))
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Nothing below panics while it holds the lock.
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Adds a request at the end.
    ///
    /// # Errors
    /// [`QueueError`].
    pub fn push(&self, work: T) -> Result<Ticket<T>, QueueError> {
        let mut state = self.state();
        if state.closed {
            return Err(QueueError::Closed);
        }
        if state.waiting.len() >= state.limit {
            return Err(QueueError::Full { limit: state.limit });
        }
        let id = RequestId(state.given);
        state.given += 1;
        state.waiting.push_back((id, Cancel::new(), work));
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        idle.into_iter().for_each(Waker::wake);
        Ok(Ticket { id, queue: self.clone() })
    }

    /// The next request, once there is one; `None` when the queue is closed.
    pub async fn next(&self) -> Option<Turn<T>> {
        poll_fn(|context| {
            let mut state = self.state();
            let Some((id, cancel, work)) = state.waiting.pop_front() else {
                if state.closed {
                    return Poll::Ready(None);
                }
                if !state.idle.iter().any(|waker| waker.will_wake(context.waker())) {
                    state.idle.push(context.waker().clone());
                }
                return Poll::Pending;
            };
            state.running.insert(id, cancel.clone());
            drop(state);
            Poll::Ready(Some(Turn { work, cancel, id, queue: self.clone() }))
        })
        .await
    }

    /// Stops a request: one that waits is dropped, one that is being answered is cancelled. Whether there was one.
    pub fn stop(&self, id: RequestId) -> bool {
        let mut state = self.state();
        if let Some(cancel) = state.running.get(&id) {
            cancel.cancel();
            return true;
        }
        let place = state.waiting.iter().position(|(waiting, ..)| *waiting == id);
        let dropped = place.and_then(|place| state.waiting.remove(place));
        drop(state);
        dropped.is_some()
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    /// Stops every request and takes no more.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.running.values().for_each(Cancel::cancel);
        let (waiting, idle) = (std::mem::take(&mut state.waiting), std::mem::take(&mut state.idle));
        drop(state);
        drop(waiting);
        idle.into_iter().for_each(Waker::wake);
    }
}

/// The asking side of a request. Dropped, it stops the request.
#[must_use = "to drop a ticket is to stop its request"]
pub struct Ticket<T> {
    id: RequestId,
    queue: Queue<T>,
}

impl<T> Ticket<T> {
    pub fn id(&self) -> RequestId {
        self.id
    }
}

impl<T> Drop for Ticket<T> {
    fn drop(&mut self) {
        self.queue.stop(self.id);
    }
}

/// The answering side of a request, until it is dropped.
pub struct Turn<T> {
    pub work: T,
    /// Whether the request is still wanted.
    pub cancel: Cancel,
    id: RequestId,
    queue: Queue<T>,
}

impl<T> Turn<T> {
    pub fn id(&self) -> RequestId {
        self.id
    }
}

impl<T> Drop for Turn<T> {
    fn drop(&mut self) {
        self.queue.state().running.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pollster::block_on;

    #[test]
    fn requests_come_in_order_and_are_bounded() {
        let queue = Queue::new(2);
        let one = queue.push("one").unwrap();
        let two = queue.push("two").unwrap();
        assert_eq!(queue.push("three").err(), Some(QueueError::Full { limit: 2 }));
        assert_ne!(one.id(), two.id());
        let turn = block_on(queue.next()).unwrap();
        assert_eq!((turn.work, turn.id(), queue.waiting()), ("one", one.id(), 1));
        // Its place is free again.
        let _three = queue.push("three").unwrap();
        assert_eq!(block_on(queue.next()).unwrap().work, "two");
    }

    #[test]
    fn a_request_is_stopped_by_its_id_or_with_its_ticket() {
        let queue = Queue::new(9);
        let (running, waiting, kept) = (queue.push(1).unwrap(), queue.push(2).unwrap(), queue.push(3).unwrap());
        let turn = block_on(queue.next()).unwrap();
        assert!(!turn.cancel.is_cancelled());
        let id = running.id();
        drop(running);
        assert!(turn.cancel.is_cancelled());
        drop(turn);
        assert!(!queue.stop(id), "it has ended");
        assert!(queue.stop(waiting.id()) && !queue.stop(waiting.id()));
        assert_eq!(block_on(queue.next()).unwrap().work, 3);
        drop(kept);
        assert_eq!(queue.waiting(), 0);
    }

    #[test]
    fn who_waits_is_woken() {
        let queue = Queue::new(1);
        let other = queue.clone();
        let waits = std::thread::spawn(move || (block_on(other.next()).map(|turn| turn.work), block_on(other.next()).is_none()));
        std::thread::sleep(std::time::Duration::from_millis(50));
        let ticket = queue.push(7).unwrap();
        // Closing would take back what nobody has taken yet.
        while queue.waiting() > 0 {
            std::thread::yield_now();
        }
        queue.close();
        assert_eq!(waits.join().unwrap(), (Some(7), true));
        assert_eq!(queue.push(8).err(), Some(QueueError::Closed));
        drop(ticket);
    }

    #[test]
    fn closing_stops_all() {
        let queue = Queue::new(9);
        let _tickets = [queue.push(()).unwrap(), queue.push(()).unwrap()];
        let turn = block_on(queue.next()).unwrap();
        queue.close();
        assert!(turn.cancel.is_cancelled() && block_on(queue.next()).is_none());
    }
}
