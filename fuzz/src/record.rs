//! Record marking: the stream, cut anywhere, gives the records that a decoder without any cleverness finds.

/// The first byte says in which pieces the rest arrives.
pub fn run(data: &[u8]) {
    let Some((step, wire)) = data.split_first() else { return };
    let got = nfs::fuzzing::records(wire, usize::from(*step) + 1);
    let (want, _) = plainly(wire);
    assert_eq!(got, want, "records differ from what the framing says");
}

/// The records until the first thing that is wrong, and whether the stream ended between two records.
fn plainly(mut wire: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let (longest, fragments) = nfs::fuzzing::record_limits();
    let mut records = Vec::new();
    while !wire.is_empty() {
        let mut record = Vec::new();
        let mut count = 0;
        loop {
            let Some((head, rest)) = wire.split_first_chunk::<4>() else { return (records, false) };
            let head = u32::from_be_bytes(*head);
            let (length, last) = ((head & 0x7fff_ffff) as usize, head >> 31 == 1);
            count += 1;
            if count > fragments || record.len() + length > longest || rest.len() < length {
                return (records, false);
            }
            record.extend_from_slice(&rest[..length]);
            wire = &rest[length..];
            if last {
                break;
            }
        }
        records.push(record);
    }
    (records, true)
}
