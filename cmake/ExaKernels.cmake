# Instruction-set builds of the SIMD kernels: filled in by kernels/ (see kernels/README.md).
