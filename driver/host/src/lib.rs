//! A user-mode host of NT and WSK that enforces the kernel's contract.
