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
    /// A system thread.
    is_thread: bool,
    coroutine: Option<Coroutine<(), (), ()>>,
    yielder: *const Yielder<(), ()>,
}

/// 100 ns that a thread gets no processor at most, as a power of two: 0.4 s.
const STARVED_MAX_LOG: u64 = 22;

/// Adds a system thread that runs `body`.
pub(crate) fn spawn_thread(name: String, body: impl FnOnce() + 'static) {
    let at = spawn(name, Context::of_host(), body);
    with(|world| world.actors[at].is_thread = true);
}

/// Adds an actor that runs `body` with the given thread state; returns its place.
pub(super) fn spawn(name: String, context: Context, body: impl FnOnce() + 'static) -> usize {
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
    let actor = Actor {
        name,
        wait: Wait::Ready,
        is_thread: false,
        coroutine: Some(coroutine),
        yielder: core::ptr::null(),
    };
    with(|world| world.actors.push(actor));
    at
}

/// True in a system thread at PASSIVE_LEVEL: whatever is more urgent may keep it from running.
pub(super) fn is_passive_thread() -> bool {
    let is_passive = processor::irql() == 0;
    is_passive && with(|world| world.actors.get(world.current).is_some_and(|actor| actor.is_thread))
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
    with(|world| {
        world.has_entered();
        world.note(export, usize::from(irql), depth as usize);
    });
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
    let may_starve = is_passive_thread();
    with(|world| {
        if may_starve && world.now >= world.fed_until && world.take(Freedom::ThreadStarved) {
            let scale = 1 << world.random.within(0, STARVED_MAX_LOG);
            let back = world.now + world.random.within(0, scale);
            // What waits for it is late, and not by ever more.
            world.fed_until = back + 3 * (back - world.now);
            return Wait::Until(back);
        }
        if world.take(Freedom::Away) { Wait::Until(world.now + world.delay()) } else { Wait::Ready }
    })
}
