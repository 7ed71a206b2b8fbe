//! Keys and signatures at the edges of the curve: everything that is not the one encoding of an honest key is
//! refused. Computed from the definitions of RFC 8032, section 5.1, with an implementation of their own.

use crate::{did, hex};
use hv_identity::{BadKey, BadSignature, Did, PublicKey, Signer};
use proptest::prelude::*;

fn key(text: &str) -> Result<PublicKey, BadKey> {
    PublicKey::from_bytes(&hex(text).try_into().unwrap())
}

#[test]
fn the_points_of_small_order_are_no_keys() {
    for point in [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        // x = 0 with its sign set, which RFC 8032 does not decode.
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ] {
        assert_eq!(key(point), Err(BadKey::SmallOrder), "{point}");
    }
}

#[test]
fn a_y_that_is_not_reduced_is_no_key() {
    // p = 2²⁵⁵ − 19, so the last byte of p is 0x7f, and the first 0xed. All nineteen, with either sign.
    for low in 0xed..=0xffu8 {
        for high in [0x7f, 0xff] {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (low, high);
            assert_eq!(PublicKey::from_bytes(&bytes), Err(BadKey::NotCanonical), "{low:x}");
        }
    }
    // The largest y that is reduced and on the curve, besides −1: p − 2 is not, p − 3 is.
    assert_eq!(key(&format!("eb{}7f", "ff".repeat(30))), Err(BadKey::NotCanonical));
    assert!(key(&format!("ea{}7f", "ff".repeat(30))).is_ok());
    // Each byte in turn below what makes it too large, and the same y above: one of the two is on the curve or
    // neither, but never both for the same reason.
    assert_eq!(
        key(&format!("02{}", "00".repeat(31))),
        Err(BadKey::NotCanonical),
        "y = 2 is not on the curve"
    );
    assert!(key(&format!("03{}", "00".repeat(31))).is_ok(), "y = 3 is");
    assert_eq!(key(&format!("f0{}7f", "ff".repeat(30))), Err(BadKey::NotCanonical), "y = p + 3 is y = 3");
}

/// The public key of the seed 07…07 and signatures of `hv` by it.
const PUBLIC: &str = "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c";

#[test]
fn signatures_with_a_second_form_are_refused() {
    let key = key(PUBLIC).unwrap();
    assert_eq!(Signer::new(&[7; 32]).unwrap().public(), &key);
    let r = "7767a3242dc9b58bbc68488c1265cc6cc5f26c6f3c88a5d55e901b0734dca572";
    let s = "97db30d586df0b3867cb49bb00df698212dfc56fd238904d1f7c455b109a8000";
    assert_eq!(key.verify(b"hv", &hex(&format!("{r}{s}"))), Ok(()));
    let s_plus_order = "84af2632a1421e903d68415edfd8489712dfc56fd238904d1f7c455b109a8010";
    assert_eq!(key.verify(b"hv", &hex(&format!("{r}{s_plus_order}"))), Err(BadSignature));
    for (what, signature) in [
        (
            "R is the neutral point",
            "0100000000000000000000000000000000000000000000000000000000000000\
             c589fe80871ba6c9122e3b113f7e22501e8bd8787b631751a33f55ff7c1c2908",
        ),
        (
            "R is the neutral point with a sign",
            "0100000000000000000000000000000000000000000000000000000000000080\
             b1627a161366ec1dfb4a7445000e7fd21099c1f8af6f436e1663ff515d929204",
        ),
        (
            "R is the neutral point and not reduced",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f\
             7b4106daf59d480830e56123ad457794a624f8902244711e00353ab0e8978407",
        ),
        (
            "R has a part of order 8, which a verifier with the cofactor does not see",
            "b15bf26424d1b69dd33b7a9e57db5de4a2aadea4a2a051efd9bfd6af74165d2b\
             6d8ef867e1c46247e4b0978a48e93eeddb05f26dbea5bd05a2121eb554338907",
        ),
    ] {
        assert_eq!(key.verify(b"hv", &hex(signature)), Err(BadSignature), "{what}");
    }
    for length in [0, 1, 32, 63, 65, 128] {
        assert_eq!(key.verify(b"hv", &vec![0; length]), Err(BadSignature));
    }
}

#[test]
fn a_did_key_has_one_spelling() {
    let good = Signer::new(&[7; 32]).unwrap().did().as_str().to_owned();
    let rest = good.strip_prefix("did:key:z").unwrap();
    let spelled = |bytes: &[u8]| format!("did:key:z{}", bs58::encode(bytes).into_string());
    let public = hex(PUBLIC);
    let with = |codec: &[u8], key: &[u8]| spelled(&[codec, key].concat());
    for (text, why) in [
        (format!("did:mesh:z{rest}"), BadKey::OtherMethod),
        (format!("did:keys:z{rest}"), BadKey::OtherMethod),
        (format!("did:key:{rest}"), BadKey::Multibase),
        (format!("did:key:Z{rest}"), BadKey::Multibase),
        (
            format!("did:key:f{}", data_encoding::HEXLOWER.encode(&[&[0xed, 1], &public[..]].concat())),
            BadKey::Multibase,
        ),
        (format!("{good}0"), BadKey::Multibase),
        (format!("{good}%31"), BadKey::Multibase),
        (format!("did:key:z1{rest}"), BadKey::OtherKind),
        (with(&[0xec, 0x01], &public), BadKey::OtherKind),
        (with(&[0xed, 0x81, 0x00], &public), BadKey::OtherKind),
        (with(&[0xed], &public), BadKey::OtherKind),
        (with(&[0xed, 0x01], &public[..31]), BadKey::Length),
        (with(&[0xed, 0x01], &[&public[..], &[0]].concat()), BadKey::Length),
        (with(&[0xed, 0x01], &[]), BadKey::Length),
        (with(&[0xed, 0x01], &[0xff; 32]), BadKey::NotCanonical),
        (with(&[0xed, 0x01], &[0; 32]), BadKey::SmallOrder),
        (format!("did:key:z{}", "z".repeat(240)), BadKey::OtherKind),
    ] {
        assert_eq!(PublicKey::of(&did(&text)), Err(why), "{text}");
    }
}

proptest! {
    #[test]
    fn a_key_has_one_name_and_a_name_one_key(bytes: [u8; 32]) {
        if let Ok(key) = PublicKey::from_bytes(&bytes) {
            prop_assert_eq!(key.as_bytes(), &bytes);
            prop_assert!(key.did().as_str().starts_with("did:key:z6Mk"));
            prop_assert_eq!(PublicKey::of(key.did()), Ok(key));
        }
    }

    #[test]
    fn whatever_is_read_as_a_did_key_is_spelled_so(text in "did:key:z[1-9A-HJ-NP-Za-km-z]{40,60}") {
        if let Ok(key) = PublicKey::of(&Did::new(&text).unwrap()) {
            prop_assert_eq!(key.did().as_str(), text);
        }
    }

    #[test]
    fn another_message_or_key_does_not_fit(seeds in prop::array::uniform2(any::<[u8; 32]>()), at in 0usize..64, bit in 0u8..8) {
        let [signer, other] = seeds.map(|seed| Signer::new(&seed).unwrap());
        let envelope = hv_identity::Envelope::sign("t", b"m", &signer).unwrap();
        let mut signature = envelope.signatures()[0].bytes().to_vec();
        let message = hv_identity::pae("t", b"m");
        prop_assert_eq!(signer.public().verify(&message, &signature), Ok(()));
        prop_assert_eq!(signer.public().verify(b"other", &signature), Err(BadSignature));
        prop_assert!(signer.did() == other.did() || other.public().verify(&message, &signature).is_err());
        signature[at] ^= 1 << bit;
        prop_assert_eq!(signer.public().verify(&message, &signature), Err(BadSignature));
    }
}
