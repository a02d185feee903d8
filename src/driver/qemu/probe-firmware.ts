/**
 * The guest that tries KVM: firmware without an operating system that does a little of what every kernel does. Some
 * machines offer a /dev/kvm that is itself emulated: real mode works there, but the loop below takes dozens of times as
 * long as under emulation, and a kernel never gets through its boot.
 */

/** Writing `SUCCESS_VALUE` to this port ends QEMU (isa-debug-exit). */
export const DEBUG_PORT = 0xf4;
const SUCCESS_VALUE = 0x10;
/** isa-debug-exit makes twice the value plus one of what is written. */
export const SUCCESS_STATUS = SUCCESS_VALUE * 2 + 1;

const FIRMWARE_BYTES = 64 * 1024;
/** Offset in the firmware, and of the real-mode segment that it is seen through at reset. */
const START = 0xf000;
/** Where an x86 processor begins: 16 bytes below the end. */
const RESET_VECTOR = 0xfff0;

// biome-ignore format: one instruction a line
const CODE = [
  0xfa,                                           // cli
  0x2e, 0x66, 0x0f, 0x01, 0x16, 0x60, 0xf0,       // lgdt cs:[0xf060]
  0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, // cr0 |= 1: protected mode
  0x66, 0xea, 0x18, 0xf0, 0xff, 0xff, 0x08, 0x00, // jmp 8:0xfffff018, the next instruction
  0xb8, 0x10, 0x00, 0x00, 0x00, 0x8e, 0xc0, 0x8e, 0xd8, // ds = es = 16
  0xfc, 0xbf, 0x00, 0x00, 0x10, 0x00,             // cld; edi = 1 MiB
  0xb9, 0x00, 0x00, 0x10, 0x00, 0xf3, 0xab,       // fill 4 MiB: memory faults
  0xbe, 0xe8, 0x03, 0x00, 0x00,                   // esi = 1000
  0x31, 0xc0, 0x0f, 0xa2, 0x4e, 0x75, 0xf9,       // cpuid, esi times: exits to the host
  0xb9, 0x00, 0xe1, 0xf5, 0x05, 0x49, 0x75, 0xfd, // count ecx down from 100 million: plain speed
  0xb0, SUCCESS_VALUE, 0xe6, DEBUG_PORT, 0xf4,    // out; hlt
  0x90, 0, 0, 0, 0, 0, 0, 0, 0,                   // segments at 0xf048: none,
  0xff, 0xff, 0x00, 0x00, 0x00, 0x9b, 0xcf, 0x00, // code, 4 GiB from 0,
  0xff, 0xff, 0x00, 0x00, 0x00, 0x93, 0xcf, 0x00, // data, likewise
  0x17, 0x00, 0x48, 0xf0, 0xff, 0xff,             // 0xf060: their table, 24 bytes at 0xfffff048
];

export function probeFirmware(): Buffer {
  const halt = 0xf4;
  const image = Buffer.alloc(FIRMWARE_BYTES, halt);
  image.set(CODE, START);
  const jump = 0xe9;
  image[RESET_VECTOR] = jump;
  image.writeInt16LE(START - (RESET_VECTOR + 3), RESET_VECTOR + 1);
  return image;
}
