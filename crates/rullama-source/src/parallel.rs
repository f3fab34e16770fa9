//! The same asynchronous work on several items at once, where there are threads.

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
    let work = |item: T| pollster::block_on(f(&item));
    std::thread::scope(|scope| {
        let threads: Vec<_> = items.into_iter().map(|item| scope.spawn(|| work(item))).collect();
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

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    #[test]
    fn keeps_the_order() {
        let squares = pollster::block_on(super::map(vec![3, 1, 2], |n| Box::pin(async move { n * n })));
        assert_eq!(squares, [9, 1, 4]);
    }
}
