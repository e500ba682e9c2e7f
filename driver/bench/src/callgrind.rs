//! Client requests to callgrind; without valgrind they do nothing.
use core::arch::asm;

/// `VG_USERREQ_TOOL_BASE('C', 'T')`.
const BASE: usize = 0x4354_0000;

fn request(code: usize, argument: usize) {
    let arguments = [BASE + code, argument, 0, 0, 0, 0];
    // SAFETY: rotations by 128 in all and an exchange of a register with itself change nothing;
    // valgrind takes the sequence for a call with `rax` and gives a result in `rdx`.
    unsafe {
        asm!("rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51", "xchg rbx, rbx",
            in("rax") arguments.as_ptr(), inout("rdx") 0_usize => _, inout("rdi") 0_usize => _);
    }
}

/// Forgets what was counted.
pub fn zero() {
    request(1, 0);
}

/// Writes what was counted since, under a name that ends with a zero.
pub fn dump(name: &std::ffi::CStr) {
    request(3, name.as_ptr().expose_provenance());
}
