//! The same asynchronous work on several items at once.

use crate::BoxFuture;

/// Items that [`map`] works on at a time: threads natively, one in a browser.
#[cfg(not(target_arch = "wasm32"))]
pub fn width() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(8)
}

/// Items that [`map`] works on at a time: threads natively, one in a browser.
#[cfg(target_arch = "wasm32")]
pub fn width() -> usize {
    1
}

/// `f` of every item, in order. Natively each runs on a thread of its own, so give at most
/// [`width`] items; in a browser one follows the other.
#[cfg(not(target_arch = "wasm32"))]
pub async fn map<T: Send, R: Send>(items: Vec<T>, f: impl for<'a> Fn(&'a T) -> BoxFuture<'a, R> + Sync) -> Vec<R> {
    on_threads(items, |item: T| pollster::block_on(f(&item)))
}

#[cfg(not(target_arch = "wasm32"))]
fn on_threads<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = items.into_iter().map(|item| scope.spawn(move || work(item))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// `f` of every item, in order. Natively each runs on a thread of its own, so give at most
/// [`width`] items; in a browser one follows the other.
#[cfg(target_arch = "wasm32")]
pub async fn map<T, R>(items: Vec<T>, f: impl for<'a> Fn(&'a T) -> BoxFuture<'a, R>) -> Vec<R> {
    let mut out = Vec::with_capacity(items.len());
    for item in &items {
        out.push(f(item).await);
    }
    out
}

/// Work that ends in the order in which it was added. Natively all of it is done at once, each on a thread of its own; in a browser
/// what waits for others goes on while the first result is dealt with.
#[cfg(not(target_arch = "wasm32"))]
pub struct Line<'a, R>(Vec<BoxFuture<'a, R>>);

/// Work that ends in the order in which it was added. Natively all of it is done at once, each on a thread of its own; in a browser
/// what waits for others goes on while the first result is dealt with.
#[cfg(target_arch = "wasm32")]
pub use rolling::Line;

#[cfg(not(target_arch = "wasm32"))]
impl<'a, R: Send> Line<'a, R> {
    pub fn push(&mut self, work: BoxFuture<'a, R>) {
        self.0.push(work);
    }

    /// Work that was added and not taken.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Results that come next; none where there is no work.
    pub async fn take(&mut self) -> Vec<R> {
        on_threads(std::mem::take(&mut self.0), pollster::block_on)
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl<R> Default for Line<'_, R> {
    fn default() -> Self {
        Line(Vec::new())
    }
}

#[cfg(any(test, target_arch = "wasm32"))]
mod rolling {
    use std::{collections::VecDeque, future::poll_fn, task::Poll};

    use crate::BoxFuture;

    enum Work<'a, R> {
        Going(BoxFuture<'a, R>),
        Done(R),
    }

    /// Work of one thread, for which others work.
    pub struct Line<'a, R>(VecDeque<Work<'a, R>>);

    impl<'a, R> Line<'a, R> {
        pub fn push(&mut self, work: BoxFuture<'a, R>) {
            self.0.push_back(Work::Going(work));
        }

        /// Work that was added and not taken.
        pub fn len(&self) -> usize {
            self.0.len()
        }

        pub fn is_empty(&self) -> bool {
            self.0.is_empty()
        }

        /// The result that comes next; none where there is no work. All work is begun before it is given.
        pub async fn take(&mut self) -> Vec<R> {
            poll_fn(|context| {
                for work in &mut self.0 {
                    if let Work::Going(future) = work
                        && let Poll::Ready(result) = future.as_mut().poll(context)
                    {
                        *work = Work::Done(result);
                    }
                }
                match self.0.pop_front() {
                    None => Poll::Ready(Vec::new()),
                    Some(Work::Done(result)) => Poll::Ready(vec![result]),
                    Some(going) => {
                        self.0.push_front(going);
                        Poll::Pending
                    }
                }
            })
            .await
        }
    }

    impl<R> Default for Line<'_, R> {
        fn default() -> Self {
            Line(VecDeque::new())
        }
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;
    use std::{
        future::{Future, poll_fn},
        sync::atomic::{AtomicUsize, Ordering},
        task::{Context, Poll, Waker},
    };

    #[test]
    fn keeps_the_order() {
        let squares = pollster::block_on(map(vec![3, 1, 2], |n| Box::pin(async move { n * n })));
        assert_eq!(squares, [9, 1, 4]);
        let mut line = Line::default();
        for n in [3, 1, 2] {
            line.push(Box::pin(async move { n * n }));
        }
        assert_eq!((line.len(), pollster::block_on(line.take())), (3, vec![9, 1, 4]));
        assert!(line.is_empty() && pollster::block_on(line.take()).is_empty());
    }

    #[test]
    fn what_waits_goes_on_behind_the_first() {
        let asked = AtomicUsize::new(0);
        let mut line = rolling::Line::default();
        // Ready when it is asked for the `times`th time.
        let work = |n: usize, mut times: usize| {
            let asked = &asked;
            poll_fn(move |_| {
                asked.fetch_add(1, Ordering::Relaxed);
                times -= 1;
                if times == 0 { Poll::Ready(n) } else { Poll::Pending }
            })
        };
        line.push(Box::pin(work(1, 2)));
        line.push(Box::pin(work(2, 1)));
        line.push(Box::pin(work(3, 3)));
        assert_eq!(line.len(), 3);
        let mut context = Context::from_waker(Waker::noop());
        let mut next = || Box::pin(line.take()).as_mut().poll(&mut context);
        assert_eq!(next(), Poll::Pending, "the first is not done");
        assert_eq!(asked.load(Ordering::Relaxed), 3, "all were begun");
        assert_eq!(next(), Poll::Ready(vec![1]));
        assert_eq!(next(), Poll::Ready(vec![2]));
        assert_eq!(next(), Poll::Ready(vec![3]), "what was done is not asked again");
        assert_eq!(next(), Poll::Ready(vec![]));
        assert_eq!(asked.load(Ordering::Relaxed), 6);
        assert!(line.is_empty());
    }
}
