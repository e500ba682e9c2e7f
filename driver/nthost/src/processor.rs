//! Threads as processors: IRQL, nesting, mailbox, event loop.
use parking_lot::Mutex;
use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use nt_sys::ntdef::{DISPATCH_LEVEL, KIRQL, PASSIVE_LEVEL};
use nt_sys::wsk::WSK_FLAG_AT_DISPATCH_LEVEL;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};

use crate::live::buffer::ReceiveBuffer;
use crate::nt::lock_order::Held;
use crate::sim;
use crate::verifier::{Rule, violation};
use crate::wsk::inspect::{self, Request};
use crate::wsk::{connection::Connection, listener::Listener};

/// Entries into the driver that may nest: an event, a completion inside it, one spare.
const DEPTH_MAX: u32 = 4;
/// Events taken from the system at once.
const EVENTS_MAX: usize = 256;
/// Event data of the mailbox; everything else is an address.
const WAKE: u64 = 0;
/// Marks the address of a listener.
const LISTENER: u64 = 1;
/// Marks the serial number of a pended request, above the marks.
const PENDED: u64 = 2;
/// Bits below the serial number.
const MARK_BITS: u32 = 2;

thread_local! {
    static INDEX: Cell<usize> = const { Cell::new(0) };
    static IS_PROCESSOR: Cell<bool> = const { Cell::new(false) };
    static IRQL: Cell<KIRQL> = const { Cell::new(PASSIVE_LEVEL) };
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static CALLBACK: Cell<&'static str> = const { Cell::new("no callback") };
    static SYSTEM_THREAD: Cell<bool> = const { Cell::new(false) };
    static MARK: Cell<usize> = const { Cell::new(0) };
    static HELD: Held = const { Held::none() };
    /// Nanoseconds that the innermost callback has taken; only of a simulated machine.
    static SPENT: Cell<u64> = const { Cell::new(0) };
}

/// Who this thread is, and what it is in the middle of.
#[derive(Clone)]
pub(crate) struct Context {
    index: usize,
    is_processor: bool,
    irql: KIRQL,
    depth: u32,
    callback: &'static str,
    system_thread: bool,
    mark: usize,
    held: Held,
    spent: u64,
}

impl Context {
    /// Of a thread of the host.
    pub(crate) fn of_host() -> Context {
        Context {
            index: 0,
            is_processor: false,
            irql: PASSIVE_LEVEL,
            depth: 0,
            callback: "no callback",
            system_thread: false,
            mark: 0,
            held: Held::none(),
            spent: 0,
        }
    }

    /// Of a processor.
    pub(crate) fn of_processor(index: usize) -> Context {
        Context { index, is_processor: true, ..Context::of_host() }
    }
}

/// This thread's, to be put back later: actors of a simulated machine take turns on one thread.
pub(crate) fn context() -> Context {
    Context {
        index: INDEX.get(),
        is_processor: IS_PROCESSOR.get(),
        irql: IRQL.get(),
        depth: DEPTH.get(),
        callback: CALLBACK.get(),
        system_thread: SYSTEM_THREAD.get(),
        mark: MARK.get(),
        held: HELD.with(Held::clone),
        spent: SPENT.get(),
    }
}

/// Makes this thread the one of the context.
pub(crate) fn set_context(context: &Context) {
    INDEX.set(context.index);
    IS_PROCESSOR.set(context.is_processor);
    IRQL.set(context.irql);
    DEPTH.set(context.depth);
    CALLBACK.set(context.callback);
    SYSTEM_THREAD.set(context.system_thread);
    MARK.set(context.mark);
    HELD.with(|held| held.set(&context.held));
    SPENT.set(context.spent);
}

/// Index of the processor that this thread is; 0 for threads of the host.
pub(crate) fn index() -> usize {
    INDEX.get()
}

/// True on the thread that is processor `index`.
pub(crate) fn is(index: usize) -> bool {
    IS_PROCESSOR.get() && INDEX.get() == index
}

/// This thread is a processor.
pub(crate) fn is_processor() -> bool {
    IS_PROCESSOR.get()
}

/// This thread is one of the driver's own.
pub(crate) fn this_is_a_system_thread() {
    SYSTEM_THREAD.set(true);
}

/// True on a thread that the driver started.
pub(crate) fn is_system_thread() -> bool {
    SYSTEM_THREAD.get()
}

/// A value of this thread's own, never zero.
pub(crate) fn thread_mark() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    if MARK.get() == 0 {
        MARK.set(NEXT.fetch_add(1, Ordering::Relaxed));
    }
    MARK.get()
}

/// Uses the spin locks that this thread holds.
pub(crate) fn with_held<R>(f: impl FnOnce(&Held) -> R) -> R {
    HELD.with(f)
}

/// How many they are.
fn held_count() -> usize {
    HELD.with(Held::count)
}

/// The callback that runs takes so many nanoseconds.
pub(crate) fn spend(nanoseconds: u64) {
    SPENT.set(SPENT.get() + nanoseconds);
}

pub(crate) fn irql() -> KIRQL {
    IRQL.get()
}

pub(crate) fn set_irql(irql: KIRQL) {
    IRQL.set(irql);
}

/// Sets the IRQL; returns the old one.
pub(crate) fn raise_irql(irql: KIRQL) -> KIRQL {
    IRQL.replace(irql)
}

/// Callbacks of the driver that this thread is in.
pub(crate) fn depth() -> u32 {
    DEPTH.get()
}

/// The innermost of them.
pub(crate) fn callback() -> &'static str {
    CALLBACK.get()
}

/// An export is called: reports a call above its highest IRQL. On a simulated machine another may
/// go on first.
#[inline]
pub(crate) fn require_irql(export: &'static str, max: KIRQL) {
    sim::actor::export_called(export);
    if IRQL.get() > max {
        above_irql(export, max);
    }
}

#[cold]
fn above_irql(export: &'static str, max: KIRQL) -> ! {
    let detail = format!("called at IRQL {}, allowed up to {max}", IRQL.get());
    violation(Rule::Irql, export, callback(), detail, None)
}

/// Runs a callback of the driver at `irql`, or higher where it is higher; reports one that leaves
/// otherwise than it came. A function, and nothing that is dropped: where the driver does not
/// return, the process ends.
#[allow(clippy::inline_always, reason = "of every request")]
#[inline(always)]
pub(crate) fn run<R>(name: &'static str, irql: KIRQL, callback: impl FnOnce() -> R) -> R {
    if !sim::world::is_on() {
        return run_checked(name, irql, callback);
    }
    let spent = SPENT.replace(0);
    let result = run_checked(name, irql, || {
        sim::interrupt::arm();
        let result = callback();
        sim::interrupt::disarm();
        result
    });
    // A completion inside a call takes its time from who called.
    let took = SPENT.replace(0);
    SPENT.set(spent + took);
    if irql.max(IRQL.get()) == DISPATCH_LEVEL && took > sim::cost::BUDGET {
        let detail = format!("{took} ns, of {} at most", sim::cost::BUDGET);
        violation(Rule::Time, name, name, detail, None);
    }
    result
}

#[allow(clippy::inline_always, reason = "of every request")]
#[inline(always)]
fn run_checked<R>(name: &'static str, irql: KIRQL, callback: impl FnOnce() -> R) -> R {
    let depth = DEPTH.get();
    if depth >= DEPTH_MAX {
        too_deep(name, depth + 1);
    }
    let before = IRQL.get();
    let entered = irql.max(before);
    let held = held_count();
    DEPTH.set(depth + 1);
    IRQL.set(entered);
    let around = CALLBACK.replace(name);
    let result = callback();
    DEPTH.set(depth);
    CALLBACK.set(around);
    let left = IRQL.replace(before);
    if left != entered || held_count() != held {
        left_wrong(name, entered, left);
    }
    result
}

#[cold]
fn too_deep(name: &'static str, depth: u32) -> ! {
    let detail = format!("{depth} entries deep; the innermost is in {}", callback());
    violation(Rule::Depth, name, "this processor's stack", detail, None)
}

#[cold]
fn left_wrong(name: &'static str, entered: KIRQL, left: KIRQL) -> ! {
    if left != entered {
        violation(Rule::Irql, name, name, format!("left at IRQL {left}"), None);
    }
    violation(Rule::SpinLock, name, name, "left with a lock held", None)
}

/// Runs an event of WSK, which is given its flags.
#[allow(clippy::inline_always, reason = "of every request")]
#[inline(always)]
pub(crate) fn run_event<R>(name: &'static str, event: impl FnOnce(u32) -> R) -> R {
    let (irql, says) = sim::event_irql();
    let is_at_dispatch = irql.max(IRQL.get()) == DISPATCH_LEVEL && says;
    let flags = if is_at_dispatch { WSK_FLAG_AT_DISPATCH_LEVEL } else { 0 };
    run(name, irql, || event(flags))
}

/// Work for a processor's own thread.
pub(crate) enum Task {
    /// Answered when everything before it is done.
    Barrier(Sender<()>),
    /// A connection has something to do at home.
    Connection(&'static Connection),
    /// A pended request was accepted.
    Establish(&'static Listener, Request),
    /// A new listener to watch.
    Watch(&'static Listener),
    /// A listener is dead.
    Lost(&'static Listener),
    /// A listener to watch no more.
    Forget(&'static Listener),
}

/// One processor.
pub(crate) struct Processor {
    index: usize,
    epoll: OwnedFd,
    /// Counts what is watched: Release before, Acquire in whoever is told by an event. The system
    /// orders these too, but not in a way that Rust knows of.
    handed_over: AtomicU64,
    wake: OwnedFd,
    tasks: Mutex<Vec<Task>>,
    has_tasks: AtomicBool,
    stop: AtomicBool,
}

impl Processor {
    pub(crate) fn new(index: usize) -> io::Result<Processor> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let data = epoll::EventData::new_u64(WAKE);
        epoll::add(&epoll, &wake, data, epoll::EventFlags::IN)?;
        Ok(Processor {
            index,
            epoll,
            handed_over: AtomicU64::new(0),
            wake,
            tasks: Mutex::new(Vec::new()),
            has_tasks: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        })
    }

    /// Gives the processor's thread something to do.
    pub(crate) fn post(&self, task: Task) {
        self.tasks.lock().push(task);
        self.has_tasks.store(true, Ordering::Release);
        // Its own thread looks before it waits.
        if !is(self.index) {
            self.wake();
        }
    }

    /// Ends a wait.
    pub(crate) fn wake(&self) {
        // A full counter wakes as well.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.wake();
    }

    /// Watches a connection, edge-triggered, until its file is closed; whether it takes octets only
    /// while some wait, for most never do.
    pub(crate) fn watch(
        &self,
        connection: &'static Connection,
        file: &OwnedFd,
        unsent: bool,
    ) -> io::Result<()> {
        let (data, flags) = watched(connection, unsent);
        self.handed_over.fetch_add(1, Ordering::Release);
        Ok(epoll::add(&self.epoll, file, data, flags)?)
    }

    /// From now on it has octets that wait.
    pub(crate) fn watch_unsent(&self, connection: &'static Connection, file: &OwnedFd) {
        let (data, flags) = watched(connection, true);
        self.handed_over.fetch_add(1, Ordering::Release);
        // One that is not watched yet will be, and for this as well.
        let _ = epoll::modify(&self.epoll, file, data, flags);
    }

    /// Watches for the end of a pended request, until forgotten.
    pub(crate) fn watch_pended(&self, serial: u32, file: &OwnedFd) -> io::Result<()> {
        use epoll::EventFlags as Flags;
        let data = epoll::EventData::new_u64(u64::from(serial) << MARK_BITS | PENDED);
        self.handed_over.fetch_add(1, Ordering::Release);
        Ok(epoll::add(&self.epoll, file, data, Flags::RDHUP | Flags::ET)?)
    }

    /// Undoes that.
    pub(crate) fn forget_pended(&self, file: &OwnedFd) {
        // Not watched when it was decided before it was pended.
        let _ = epoll::delete(&self.epoll, file);
    }

    /// The life of the processor's thread.
    pub(crate) fn run(&self) {
        let index = self.index;
        INDEX.set(index);
        IS_PROCESSOR.set(true);
        let mut buffer = ReceiveBuffer::new();
        let mut events = Vec::with_capacity(EVENTS_MAX);
        while !self.stop.load(Ordering::Acquire) {
            let timeout = self.timeout();
            events.clear();
            let room = rustix::buffer::spare_capacity(&mut events);
            if epoll::wait(&self.epoll, room, timeout.as_ref()).is_err() {
                continue; // interrupted
            }
            self.handed_over.load(Ordering::Acquire);
            for event in &events {
                self.handle(*event, &mut buffer);
            }
            if self.has_tasks.load(Ordering::Relaxed)
                && self.has_tasks.swap(false, Ordering::AcqRel)
            {
                self.run_tasks(&mut buffer);
            }
            if index == 0 {
                let due = crate::nt::timer::expire(crate::nt::time::now());
                due.into_iter().for_each(crate::nt::timer::run);
            }
        }
    }

    fn timeout(&self) -> Option<Timespec> {
        if self.has_tasks.load(Ordering::Acquire) {
            return Some(Timespec::default());
        }
        let due = crate::nt::timer::next_due().filter(|_| self.index == 0)?;
        let left = due.saturating_sub(crate::nt::time::now()).saturating_mul(100);
        Timespec::try_from(Duration::from_nanos(left).min(Duration::from_mins(1))).ok()
    }

    fn handle(&self, event: epoll::Event, buffer: &mut ReceiveBuffer) {
        let flags = event.flags;
        match event.data.u64() {
            WAKE => {
                let mut count = [0; 8];
                // Non-blocking; nothing to read means that another event was first.
                let _ = rustix::io::read(&self.wake, &mut count);
            }
            data if data & LISTENER != 0 => {
                let address = (data & !LISTENER) as usize;
                let listener: *const Listener = core::ptr::with_exposed_provenance(address);
                // SAFETY: listeners are never freed.
                unsafe { &*listener }.accept_ready(self.index);
            }
            data if data & PENDED != 0 => {
                inspect::pended_ready((data >> MARK_BITS) as u32, flags);
            }
            data => {
                let connection: *const Connection =
                    core::ptr::with_exposed_provenance(data as usize);
                // SAFETY: connections are never freed; a reused one ignores an event it does not
                // expect.
                unsafe { &*connection }.ready(flags, buffer);
            }
        }
    }

    fn run_tasks(&self, buffer: &mut ReceiveBuffer) {
        let tasks = core::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            match task {
                // An error means that nobody waits any more.
                Task::Barrier(done) => {
                    let _ = done.send(());
                }
                Task::Connection(connection) => connection.at_home(buffer),
                Task::Establish(listener, request) => {
                    listener.establish_request(self.index, request);
                }
                Task::Watch(listener) => self.watch_listener(listener),
                Task::Lost(listener) => listener.tell_lost(),
                Task::Forget(listener) => {
                    listener.with_file(|file| {
                        // Gone already when the file is.
                        let _ = epoll::delete(&self.epoll, file);
                    });
                    listener.forgotten();
                }
            }
        }
    }

    fn watch_listener(&self, listener: &'static Listener) {
        use epoll::EventFlags as Flags;
        let data = core::ptr::from_ref(listener).expose_provenance() as u64 | LISTENER;
        listener.with_file(|file| {
            let data = epoll::EventData::new_u64(data);
            self.handed_over.fetch_add(1, Ordering::Release);
            if let Err(error) = epoll::add(&self.epoll, file, data, Flags::IN | Flags::EXCLUSIVE) {
                eprintln!("nthost: a listener cannot be watched: {error}");
            }
        });
    }
}

/// What the system says of a connection, and when.
fn watched(connection: &'static Connection, unsent: bool) -> (epoll::EventData, epoll::EventFlags) {
    use epoll::EventFlags as Flags;
    let data = core::ptr::from_ref(connection).expose_provenance() as u64;
    let out = if unsent { Flags::OUT } else { Flags::empty() };
    (epoll::EventData::new_u64(data), Flags::IN | Flags::RDHUP | Flags::ET | out)
}
