//! Who takes turns: processors, the host's own thread, system threads. Each is a coroutine, and
//! one of them runs at a time, until it waits or another is preferred at the call of an export.
use std::cell::Cell;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use super::freedom::Freedom;
use super::world::{NOBODY, is_on, with};
use super::{cost, interrupt};
use crate::processor::{self, Context};

/// Octets of a stack; little of it is ever touched.
const STACK_BYTES: usize = 1 << 20;

thread_local! {
    /// Stacks of earlier actors.
    static STACKS: Cell<Vec<DefaultStack>> = const { Cell::new(Vec::new()) };
}

/// What an actor waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    /// Nothing.
    Ready,
    /// Work.
    Idle,
    /// A spin lock.
    Lock(usize),
    /// An event, or the end of a thread, or a time.
    Object {
        /// Its address.
        object: usize,
        /// 100 ns since the start.
        until: u64,
    },
    /// The end of all DPCs.
    Dpcs,
    /// The end of everything that WSK has to do.
    Quiet,
    /// A time.
    Until(u64),
    /// It has ended.
    Over,
}

/// One of them.
pub(crate) struct Actor {
    pub(super) name: String,
    pub(super) wait: Wait,
    coroutine: Option<Coroutine<(), (), ()>>,
    yielder: *const Yielder<(), ()>,
}

/// Adds an actor that runs `body` with the given thread state.
pub(crate) fn spawn(name: String, context: Context, body: impl FnOnce() + 'static) {
    let mut stacks = STACKS.take();
    let stack = stacks.pop();
    STACKS.set(stacks);
    let stack = stack.or_else(|| DefaultStack::new(STACK_BYTES).ok()).expect("memory for a stack");
    let at = with(|world| world.actors.len());
    let coroutine = Coroutine::with_stack(stack, move |yielder: &Yielder<(), ()>, ()| {
        with(|world| world.actors[at].yielder = yielder);
        processor::set_context(&context);
        body();
    });
    let actor =
        Actor { name, wait: Wait::Ready, coroutine: Some(coroutine), yielder: core::ptr::null() };
    with(|world| world.actors.push(actor));
}

/// Lets an actor go on until it waits again. From the scheduler.
pub(super) fn resume(at: usize) {
    let coroutine = with(|world| {
        world.current = at;
        world.actors[at].wait = Wait::Ready;
        world.actors[at].coroutine.take()
    });
    let mut coroutine = coroutine.expect("an actor is resumed by the scheduler only");
    let result = coroutine.resume(());
    with(|world| {
        world.current = NOBODY;
        match result {
            CoroutineResult::Yield(()) => world.actors[at].coroutine = Some(coroutine),
            CoroutineResult::Return(()) => {
                world.actors[at].wait = Wait::Over;
                let mut stacks = STACKS.take();
                stacks.push(coroutine.into_stack());
                STACKS.set(stacks);
            }
        }
    });
}

/// The actor that runs waits.
pub(crate) fn pause(wait: Wait) {
    let yielder = with(|world| {
        let current = world.current;
        let actor = &mut world.actors[current];
        actor.wait = wait;
        actor.yielder
    });
    let context = processor::context();
    // SAFETY: of the coroutine that this code runs in, so it exists until this returns.
    let yielder = unsafe { &*yielder };
    yielder.suspend(());
    processor::set_context(&context);
}

/// The same, of an export that takes no time: nobody else goes on.
#[inline]
pub(crate) fn simple_export_called() {
    interrupt::disarm();
    if is_on() {
        cost::call("");
    }
}

/// An export is called: a moment at which another may go on.
#[inline]
pub(crate) fn export_called(export: &'static str) {
    if is_on() {
        simulated_export_called(export);
    }
}

#[cold]
fn simulated_export_called(export: &'static str) {
    interrupt::disarm();
    cost::call(export);
    let (irql, depth) = (processor::irql(), processor::depth());
    with(|world| world.note(export, usize::from(irql), depth as usize));
    preempt(Freedom::Preempted);
}

/// Another may go on.
#[inline]
pub(crate) fn preempt(freedom: Freedom) {
    if is_on() {
        preempt_simulated(freedom);
    }
}

#[cold]
fn preempt_simulated(freedom: Freedom) {
    if with(|world| world.current != NOBODY && world.take(freedom)) {
        pause(while_away());
    }
}

/// How long who was preempted stays away.
pub(super) fn while_away() -> Wait {
    with(|world| {
        if world.take(Freedom::Away) { Wait::Until(world.now + world.delay()) } else { Wait::Ready }
    })
}
