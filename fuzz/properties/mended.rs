//! Most changes to a tar archive are only seen in a checksum; with that put right, they are looked at.

/// Rights the checksums of all headers of the archive.
pub fn mended(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let (blocks, _) = bytes.as_chunks_mut::<512>();
    for block in blocks.iter_mut().filter(|block| block[257..262] == *b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    bytes
}
