//! Raw NT and WSK names and layouts, exactly as far as the driver and its host use them.
//!
//! Names are C's, spelled as the WDK spells them; nothing here is safe and nothing here decides
//! anything. On x86-64 every function and callback has the Windows calling convention, so that a
//! driver linked with the host and a `.sys` mapped into it call the same symbols. The symbols are
//! declared here and defined by `ntoskrnl.exe` and `netio.sys`, or by the host.
//!
//! Layouts are those of 64-bit Windows 10 and later; every size and offset that code depends on is
//! asserted at compile time next to its declaration.
#![no_std]
#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals)]

/// A nullable function pointer with the kernel's calling convention.
#[macro_export]
macro_rules! callback {
    (($($t:ty),* $(,)?) $(-> $r:ty)?) => {
        ::core::option::Option<unsafe extern "win64" fn($($t),*) $(-> $r)?>
    };
}

/// Defines a function with the kernel's calling convention: a callback that the kernel calls.
#[macro_export]
macro_rules! kernel_fn {
    ($(#[$m:meta])* $vis:vis unsafe fn $name:ident $(<$($g:ident: $b:path),+>)?
     ($($a:ident: $t:ty),* $(,)?) $(-> $r:ty)? $body:block) => {
        $(#[$m])* $vis unsafe extern "win64" fn $name $(<$($g: $b),+>)?
            ($($a: $t),*) $(-> $r)? $body
    };
}

/// Declares imported functions with the kernel's calling convention.
macro_rules! import {
    ($($(#[$m:meta])* fn $name:ident($($a:ident: $t:ty),* $(,)?) $(-> $r:ty)?;)*) => {
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

pub mod ex;
pub mod io;
pub mod ke;
pub mod mm;
pub mod ntdef;
pub mod wsk;
pub mod zw;
