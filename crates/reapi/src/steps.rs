//! Streams that a function makes step by step.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

type Step<S, T> = Pin<Box<dyn Future<Output = Option<(T, S)>> + Send>>;

/// A stream that a function makes step by step, out of a state.
pub(crate) struct Steps<S, T, F> {
    step: Option<Step<S, T>>,
    next: F,
}

/// See [`Steps`].
pub(crate) fn steps<S, T, F, Next>(state: S, mut next: F) -> impl Stream<Item = T> + Send
where
    S: Send + 'static,
    T: Send + 'static,
    F: FnMut(S) -> Next + Send + Unpin + 'static,
    Next: Future<Output = Option<(T, S)>> + Send + 'static,
{
    let mut next = move |state| Box::pin(next(state)) as Step<S, T>;
    Steps {
        step: Some(next(state)),
        next,
    }
}

impl<S, T, F> Stream for Steps<S, T, F>
where
    F: FnMut(S) -> Step<S, T> + Unpin,
{
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let Some(step) = self.step.as_mut() else {
            return Poll::Ready(None);
        };
        let done = std::task::ready!(step.as_mut().poll(context));
        self.step = None;
        Poll::Ready(done.map(|(item, state)| {
            self.step = Some((self.next)(state));
            item
        }))
    }
}
