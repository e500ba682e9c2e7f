//! Raw NT and WSK names and layouts, exactly as far as the driver and its host use them.
//!
//! Names are C's, spelled as the WDK spells them; nothing here is safe and nothing here decides
//! anything. On Windows NT's names are wdk-sys's; elsewhere they are declared here, with Windows'
//! calling convention, so that a driver linked with the host and a `.sys` mapped into it call the
//! same symbols. Those are defined by `ntoskrnl.exe` and `netio.sys`, or by the host. The bindings
//! of the WDK have no WSK: it is declared here everywhere.
//!
//! - `own`: NT's types, constants and functions as declared here
//! - `wdk`: the same names from wdk-sys (Windows only), and `parity`, which compares the layouts
//! - [`etw`], [`ex`], [`io`], [`ke`], [`mm`], [`ntdef`], [`ps`], [`zw`]: one of the two, what is
//!   inline in
//!   the WDK, and functions for what lies in unions, which the two spell differently
//! - [`wsk`]: Winsock Kernel
#![no_std]
#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals)]

/// A nullable function pointer with the kernel's calling convention.
#[cfg(not(windows))]
#[macro_export]
macro_rules! callback {
    (($($t:ty),* $(,)?) $(-> $r:ty)?) => {
        ::core::option::Option<unsafe extern "win64" fn($($t),*) $(-> $r)?>
    };
}

/// A nullable function pointer with the kernel's calling convention.
#[cfg(windows)]
#[macro_export]
macro_rules! callback {
    (($($t:ty),* $(,)?) $(-> $r:ty)?) => {
        ::core::option::Option<unsafe extern "C" fn($($t),*) $(-> $r)?>
    };
}

/// Defines a function with the kernel's calling convention: a callback that the kernel calls.
#[cfg(not(windows))]
#[macro_export]
macro_rules! kernel_fn {
    ($(#[$m:meta])* $vis:vis unsafe fn $name:ident $(<$($g:ident: $b:path),+>)?
     ($($a:ident: $t:ty),* $(,)?) $(-> $r:ty)? $body:block) => {
        $(#[$m])* $vis unsafe extern "win64" fn $name $(<$($g: $b),+>)?
            ($($a: $t),*) $(-> $r)? $body
    };
}

/// Defines a function with the kernel's calling convention: a callback that the kernel calls.
#[cfg(windows)]
#[macro_export]
macro_rules! kernel_fn {
    ($(#[$m:meta])* $vis:vis unsafe fn $name:ident $(<$($g:ident: $b:path),+>)?
     ($($a:ident: $t:ty),* $(,)?) $(-> $r:ty)? $body:block) => {
        $(#[$m])* $vis unsafe extern "C" fn $name $(<$($g: $b),+>)?
            ($($a: $t),*) $(-> $r)? $body
    };
}

/// Declares imported functions with the kernel's calling convention. Those of a named module are
/// imported from it on Windows too; there the others are the WDK's.
macro_rules! import {
    ($module:literal:
     $($(#[$m:meta])* fn $name:ident($($a:ident: $t:ty),* $(,)?) $(-> $r:ty)?;)*) => {
        #[cfg(not(windows))]
        unsafe extern "win64" { $($(#[$m])* pub fn $name($($a: $t),*) $(-> $r)?;)* }
        #[cfg(windows)]
        #[link(name = $module, kind = "raw-dylib", modifiers = "+verbatim")]
        unsafe extern "C" { $($(#[$m])* pub fn $name($($a: $t),*) $(-> $r)?;)* }
    };
    ($($(#[$m:meta])* fn $name:ident($($a:ident: $t:ty),* $(,)?) $(-> $r:ty)?;)*) => {
        #[cfg(not(windows))]
        unsafe extern "win64" { $($(#[$m])* pub fn $name($($a: $t),*) $(-> $r)?;)* }
    };
}

/// Asserts a layout at compile time: `layout!(TYPE: size, field @ offset, ...)`.
macro_rules! layout {
    ($t:ty: $size:literal $(, $f:ident @ $o:literal)* $(,)?) => {
        const _: () = assert!(core::mem::size_of::<$t>() == $size);
        $(const _: () = assert!(core::mem::offset_of!($t, $f) == $o);)*
    };
}

pub mod etw;
pub mod ex;
pub mod io;
pub mod ke;
pub mod mm;
pub mod ntdef;
pub mod ps;
pub mod wsk;
pub mod zw;

mod own;
#[cfg(windows)]
mod parity;
#[cfg(windows)]
mod wdk;

#[cfg(not(windows))]
use own as declared;
#[cfg(windows)]
use wdk as declared;
