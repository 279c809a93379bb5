//! Handles: what is taken is what the server makes, to the byte. (That nobody can make one is the MAC's part: libFuzzer
//! can, because it sees what the compared bytes should have been.)

pub fn run(data: &[u8]) {
    let Some((id, rest)) = data.split_first_chunk::<8>() else { return };
    let good = nfs::fuzzing::handle(u64::from_be_bytes(*id));
    assert_eq!(nfs::fuzzing::taken_for(&good).as_ref(), Some(&good));
    if let Some(made) = nfs::fuzzing::taken_for(rest) {
        assert_eq!(rest, made, "two handles of one file");
    }
    // Damage in one place: an exclusive or of one byte with whatever comes.
    if let [at, with, ..] = rest {
        let mut damaged = good.clone();
        damaged[usize::from(*at) % good.len()] ^= with;
        assert!(*with == 0 || nfs::fuzzing::taken_for(&damaged).is_none(), "a damaged handle is taken");
    }
}
