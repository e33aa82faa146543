//! Products with the tiles of Intel's Advanced Matrix Extensions (AMX).
//!
//! In Rust, the intrinsics are behind an unstable feature, so this module uses inline assembly. Source: Intel 64 and IA-32 Architectures
//! Software Developer's Manual, volume 1, chapter 18, and volume 2, `LDTILECFG` and `TDPBF16PS`.

use std::{
    arch::{
        asm,
        x86_64::{__cpuid, __cpuid_count},
    },
    cell::Cell,
    marker::PhantomData,
    sync::OnceLock,
};

use burn::tensor::bf16;

use super::{BLOCK, SIDE, TILE};

/// Bytes of a row of a tile, and the distance between rows.
const ROW: usize = 64;

/// Whether the processor has bf16 tiles and the operating system permits this process to use them.
#[expect(unsafe_code, reason = "a system call that the standard library does not have")]
pub(super) fn permitted() -> bool {
    /// CPUID leaf 7: AMX tiles, and bf16 in them.
    const FEATURES: u32 = 1 << 24 | 1 << 22;
    static PERMITTED: OnceLock<bool> = OnceLock::new();
    *PERMITTED.get_or_init(|| {
        // Miri supports neither these instructions nor the system call that requests them.
        if cfg!(miri) {
            return false;
        }
        let has = __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & FEATURES == FEATURES;
        #[cfg(target_os = "linux")]
        let permitted = || {
            /// `arch_prctl` code: requests a component of the processor's state, here the tile data.
            const REQUEST: usize = 0x1023;
            const TILES: usize = 18;
            // SAFETY: the call takes two integers and does not access our memory. It enlarges the state that the kernel saves for each
            // thread.
            unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST, TILES) == 0 }
        };
        #[cfg(not(target_os = "linux"))]
        let permitted = || false;
        has && permitted()
    })
}

/// The eight tiles of this thread, configured to full size while this value lives. It is the token that [`multiply`] takes, and
/// [`Tiles::configured`] alone makes it, so safe code cannot multiply without tiles. Tiles belong to one thread, so this type is neither
/// `Send` nor `Sync`.
pub(super) struct Tiles(PhantomData<*const ()>);

// Does not compile if `Tiles` is `Send` or `Sync`: then more than one implementation fits, and the type in `NotOnOtherThreads<_>` is
// ambiguous.
const _: fn() = || {
    trait NotOnOtherThreads<Case> {
        fn holds() {}
    }
    impl<T> NotOnOtherThreads<()> for T {}
    impl<T: Send> NotOnOtherThreads<u8> for T {}
    impl<T: Sync> NotOnOtherThreads<u16> for T {}
    <Tiles as NotOnOtherThreads<_>>::holds();
};

/// The operand of `LDTILECFG`.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

thread_local! {
    /// Number of live `Tiles` of this thread; dropping the last one releases the processor's tiles.
    static ALIVE: Cell<usize> = const { Cell::new(0) };
}

impl Tiles {
    /// # Panics
    /// Unless the tiles are [`permitted`].
    #[expect(unsafe_code, reason = "assembly")]
    pub(super) fn configured() -> Self {
        assert!(permitted(), "this process may not use the processor's tiles");
        let mut configuration =
            Configuration { palette: 1, start: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        configuration.row_bytes[..8].fill(ROW as u16);
        configuration.rows[..8].fill(SIDE as u8);
        if ALIVE.get() == 0 {
            // SAFETY: the processor has the instruction and the system permits it, as was checked. It reads the 64 bytes of the
            // configuration, which is a valid one of palette 1, and writes none but the tiles, which the compiler does not use.
            unsafe {
                asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack, readonly));
            }
        }
        ALIVE.set(ALIVE.get() + 1);
        Self(PhantomData)
    }
}

impl Drop for Tiles {
    #[expect(unsafe_code, reason = "assembly")]
    fn drop(&mut self) {
        ALIVE.set(ALIVE.get() - 1);
        if ALIVE.get() == 0 {
            // SAFETY: tiles are configured only if the processor has the instruction. It touches no memory, and no other `Tiles` of this
            // thread is alive that could use the tiles.
            unsafe {
                asm!("tilerelease", options(nostack, nomem));
            }
        }
    }
}

/// Adds the product of two strips and two panels to a block of the output. `_tiles` proves that this thread's tiles are configured; taking
/// it costs nothing.
///
/// # Panics
/// If the factors' lengths differ, or the block does not fit into the output.
#[expect(unsafe_code, reason = "assembly; all extents are checked before")]
pub(super) fn multiply(_tiles: &Tiles, output: &mut [f32], stride: usize, strips: [&[bf16]; 2], panels: [&[bf16]; 2]) {
    let steps = strips[0].len() / TILE;
    assert!(steps > 0 && [strips[0], strips[1], panels[0], panels[1]].iter().all(|tiles| tiles.len() == steps * TILE));
    assert!(stride >= BLOCK && output.len() >= (BLOCK - 1) * stride + BLOCK);
    let bytes = stride * size_of::<f32>();
    // SAFETY: each step reads one tile of 1 KiB from each of the four factors, which have as many tiles as there are steps. The output is
    // read and written at 32 rows of 32 values, which lie within it. The tiles are named as overwritten, and no register is left changed
    // but those. The processor has the instructions, and this thread's tiles their full size: `Tiles` are made by `Tiles::configured`
    // alone, can't leave their thread, and keep the configuration for as long as one of them lives.
    unsafe {
        let upper = output.as_mut_ptr();
        asm!(
            "tileloadd tmm0, [{upper} + {bytes}]",
            "tileloadd tmm1, [{upper} + {bytes} + 64]",
            "tileloadd tmm2, [{lower} + {bytes}]",
            "tileloadd tmm3, [{lower} + {bytes} + 64]",
            "2:",
            "tileloadd tmm4, [{left} + {row}]",
            "tileloadd tmm6, [{right} + {row}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{next_right} + {row}]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{next_left} + {row}]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {left}, 1024",
            "add {next_left}, 1024",
            "add {right}, 1024",
            "add {next_right}, 1024",
            "dec {steps}",
            "jnz 2b",
            "tilestored [{upper} + {bytes}], tmm0",
            "tilestored [{upper} + {bytes} + 64], tmm1",
            "tilestored [{lower} + {bytes}], tmm2",
            "tilestored [{lower} + {bytes} + 64], tmm3",
            upper = in(reg) upper,
            lower = in(reg) upper.add(SIDE * stride),
            bytes = in(reg) bytes,
            row = in(reg) ROW,
            left = inout(reg) strips[0].as_ptr() => _,
            next_left = inout(reg) strips[1].as_ptr() => _,
            right = inout(reg) panels[0].as_ptr() => _,
            next_right = inout(reg) panels[1].as_ptr() => _,
            steps = inout(reg) steps => _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_released_with_the_last_that_holds_them() {
        if !permitted() {
            println!("not tested: this processor has no AMX");
            return;
        }
        let outer = Tiles::configured();
        drop(Tiles::configured());
        let ones = vec![bf16::ONE; TILE];
        let mut output = vec![0.0; BLOCK * BLOCK];
        multiply(&outer, &mut output, BLOCK, [&ones, &ones], [&ones, &ones]);
        assert!(output.iter().all(|&sum| (sum - 32.0).abs() < f32::EPSILON));
    }
}
