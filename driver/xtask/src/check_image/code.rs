//! What is looked at in the instructions.
use iced_x86::{Decoder, DecoderOptions, EncodingKind, Instruction, Mnemonic, OpKind, Register};

use super::pe_file::PeFile;

/// What was found.
#[derive(Default)]
pub(super) struct Code {
    /// Octets that the function with the largest frame takes at once.
    pub(super) frame: u64,
    /// That function, as an offset in the image.
    pub(super) frame_at: u64,
    /// Instructions that use or clear registers which nobody saves: ymm, zmm, and with them every
    /// VEX- or EVEX-encoded instruction on vectors, which clears what is above xmm.
    pub(super) wide_vectors: Vec<u64>,
    /// Instructions that take a frame of a size held in a register, as after `__chkstk`.
    pub(super) probed_frames: Vec<u64>,
}

/// Goes through every function with a frame; what has none has no frame to be measured, and its
/// registers are looked at by going through the rest of its section.
pub(super) fn examine(image: &PeFile) -> Code {
    let mut code = Code::default();
    for section in image.sections.iter().filter(|section| section.execute) {
        let mut at = section.at;
        let end = section.at + section.data.len() as u64;
        let inside = image.functions.iter().filter(|(from, to)| *from >= at && *to <= end);
        let mut bounds: Vec<u64> = inside.flat_map(|(from, to)| [*from, *to]).collect();
        bounds.sort_unstable();
        bounds.push(end);
        for bound in bounds {
            // Offsets in a section that is in memory.
            let offset = |at: u64| usize::try_from(at - section.at).unwrap_or(usize::MAX);
            if let Some(octets) = section.data.get(offset(at)..offset(bound)) {
                code.function(octets, at);
            }
            at = bound.max(at);
        }
    }
    code
}

impl Code {
    fn function(&mut self, octets: &[u8], at: u64) {
        let mut decoder = Decoder::with_ip(64, octets, at, DecoderOptions::NONE);
        let mut instruction = Instruction::default();
        while decoder.can_decode() {
            decoder.decode_out(&mut instruction);
            let frame = frame(&instruction);
            if frame > self.frame {
                (self.frame, self.frame_at) = (frame, at);
            }
            if is_probed(&instruction) {
                self.probed_frames.push(instruction.ip());
            }
            if is_wide(&instruction) {
                self.wide_vectors.push(instruction.ip());
            }
        }
    }
}

/// Whether an instruction uses or clears the registers above xmm.
fn is_wide(instruction: &Instruction) -> bool {
    let operands = 0..instruction.op_count();
    let mut registers = operands.map(|operand| instruction.op_register(operand));
    let is_vector = registers.any(|register| register.is_vector_register() || register.is_k());
    let clears = matches!(instruction.mnemonic(), Mnemonic::Vzeroupper | Mnemonic::Vzeroall);
    // Legacy encodings are SSE's and leave the upper parts alone; BMI is VEX without vectors.
    clears || is_vector && instruction.encoding() != EncodingKind::Legacy
}

/// Whether an instruction is `sub rsp, register`.
fn is_probed(instruction: &Instruction) -> bool {
    instruction.mnemonic() == Mnemonic::Sub
        && instruction.op0_register() == Register::RSP
        && instruction.op1_kind() == OpKind::Register
}

/// Octets that an instruction takes from the stack for a frame: `sub rsp, n`, or `add rsp, -n`,
/// which is shorter for 128.
fn frame(instruction: &Instruction) -> u64 {
    let is_rsp = instruction.op0_register() == Register::RSP;
    let immediate = matches!(
        instruction.op1_kind(),
        OpKind::Immediate8to64 | OpKind::Immediate32to64 | OpKind::Immediate64
    );
    if !is_rsp || !immediate {
        return 0;
    }
    let taken = match instruction.mnemonic() {
        Mnemonic::Sub => instruction.immediate(1).cast_signed(),
        Mnemonic::Add => instruction.immediate(1).cast_signed().wrapping_neg(),
        _ => 0,
    };
    u64::try_from(taken).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::Code;

    fn of(octets: &[u8]) -> Code {
        let mut code = Code::default();
        code.function(octets, 0x1000);
        code
    }

    #[test]
    fn frames_are_measured() {
        assert_eq!(of(&[0x48, 0x83, 0xEC, 0x28]).frame, 0x28); // sub rsp, 28h
        assert_eq!(of(&[0x48, 0x81, 0xEC, 0, 0x10, 0, 0]).frame, 0x1000); // sub rsp, 1000h
        assert_eq!(of(&[0x48, 0x83, 0xC4, 0x80]).frame, 0x80); // add rsp, -80h
        assert_eq!(of(&[0x48, 0x83, 0xC4, 0x28]).frame, 0); // add rsp, 28h
        assert_eq!(of(&[0x48, 0x83, 0xEC, 0x80]).frame, 0); // sub rsp, -80h
        assert_eq!(of(&[0x48, 0x83, 0xE8, 0x28]).frame, 0); // sub rax, 28h
        assert_eq!(of(&[0x48, 0x29, 0xC4]).probed_frames, [0x1000]); // sub rsp, rax
        assert_eq!(of(&[0x48, 0x29, 0xC1]).probed_frames, [0_u64; 0]); // sub rcx, rax
    }

    #[test]
    fn wide_vectors_are_found_and_narrow_ones_are_not() {
        assert_eq!(of(&[0xC5, 0xFC, 0x28, 0xC1]).wide_vectors, [0x1000]); // vmovaps ymm0, ymm1
        assert_eq!(of(&[0xC5, 0xF8, 0x28, 0xC1]).wide_vectors, [0x1000]); // vmovaps xmm0, xmm1
        assert_eq!(of(&[0xC5, 0xF8, 0x77]).wide_vectors, [0x1000]); // vzeroupper
        let zmm = [0x62, 0xF1, 0x7C, 0x48, 0x28, 0xC1]; // vmovaps zmm0, zmm1
        assert_eq!(of(&zmm).wide_vectors, [0x1000]);
        assert_eq!(of(&[0x0F, 0x28, 0xC1]).wide_vectors, [0_u64; 0]); // movaps xmm0, xmm1
        let bmi = [0xC4, 0xE2, 0x78, 0xF2, 0xC1]; // andn eax, eax, ecx
        assert_eq!(of(&bmi).wide_vectors, [0_u64; 0]);
    }
}
