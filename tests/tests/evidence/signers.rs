//! Keys with fixed seeds, of every kind that signs checkpoints.

use ml_dsa::MlDsa44;
use tlog::checkpoint::Checkpoint;
use tlog::cosignature::{ml_dsa_message, subtree_of};
use tlog::hash::Hash;
use tlog::ids::{TreeHead, UnixMillis};
use tlog::note::{Note, SignatureLine};
use tlog::sign::*;
use tlog::vkey::{KeyKind, VerifierKey};

use crate::vectors::head;

pub(crate) const ORIGIN: &str = "log.example/2027";
const WITNESS: &str = "witness.example/w1";
const SECONDS: u64 = 1_795_507_200;

/// A key, and what signs with it: ML-DSA-44 by its deterministic variant, so that vectors stay what they are.
pub(crate) struct Signer {
    pub(crate) key: VerifierKey,
    pub(crate) sign: Box<dyn Fn(&str) -> SignatureLine>,
}

impl Signer {
    pub(crate) fn ed25519(name: &str, seed: u8) -> Self {
        let signer = Ed25519Signer::from_seed(name.parse().expect("a name"), &[seed; 32]);
        Self { key: signer.verifier_key(), sign: Box::new(move |text| signer.sign(text)) }
    }

    pub(crate) fn p256(name: &str, seed: u8) -> Self {
        let signer = EcdsaP256Signer::from_seed(name.parse().expect("a name"), &[seed; 32]).expect("a key");
        Self { key: signer.verifier_key(), sign: Box::new(move |text| signer.sign(text)) }
    }

    pub(crate) fn cosigner(name: &str, seed: u8) -> Self {
        let signer = CosignerEd25519::from_seed(name.parse().expect("a name"), &[seed; 32]);
        Self { key: signer.verifier_key(), sign: Box::new(move |text| signer.cosign(text, SECONDS)) }
    }

    pub(crate) fn tree_head(name: &str, seed: u8) -> Self {
        let signer = TreeHeadSigner::from_seed(name.parse().expect("a name"), &[seed; 32]).expect("a key");
        let key = signer.verifier_key();
        let sign = move |text: &str| signer.sign(checkpoint(text).head(), UnixMillis::new(SECONDS * 1000));
        Self { key, sign: Box::new(sign) }
    }

    pub(crate) fn ml_dsa(name: &str, seed: u8) -> Self {
        use ml_dsa::signature::Keypair as _;
        let secret = ml_dsa::SigningKey::<MlDsa44>::from_seed(&[seed; 32].into());
        let material = secret.verifying_key().encode().to_vec();
        let key = VerifierKey::new(name.parse().expect("a name"), KeyKind::CosignatureMlDsa44, material);
        let key = key.expect("a key");
        let own = key.clone();
        let sign = move |text: &str| {
            let message = ml_dsa_message(own.name(), SECONDS, &subtree_of(&checkpoint(text)));
            let signature = secret.expanded_key().sign_deterministic(&message, &[]).expect("no context");
            let signature = [&SECONDS.to_be_bytes()[..], &signature.encode()].concat();
            SignatureLine::new(own.name().clone(), own.id(), signature)
        };
        Self { key, sign: Box::new(sign) }
    }

    pub(crate) fn note(&self, text: &str) -> Note {
        Note::new(text.to_owned(), vec![(self.sign)(text)]).expect("a note")
    }

    pub(crate) fn head(&self, leaves: &[Hash]) -> Note {
        self.note(&text_of(ORIGIN, head(leaves)))
    }

    /// The two blocks of a checkpoint in a file.
    pub(crate) fn blocks(&self, text: &str) -> [Vec<String>; 2] {
        let lines = text.split_terminator('\n').map(str::to_owned).collect();
        [lines, vec![(self.sign)(text).to_string()]]
    }
}

fn checkpoint(text: &str) -> Checkpoint {
    Checkpoint::parse(text).expect("a checkpoint")
}

pub(crate) fn text_of(origin: &str, head: TreeHead) -> String {
    Checkpoint::new(origin.parse().expect("an origin"), head).to_text()
}

/// Every kind of key that can be accused.
pub(crate) fn signers() -> [(&'static str, Signer); 5] {
    [
        ("log-ed25519", Signer::ed25519(ORIGIN, 1)),
        ("log-p256", Signer::p256(ORIGIN, 2)),
        ("log-ml-dsa-44", Signer::ml_dsa(ORIGIN, 3)),
        ("witness-ed25519", Signer::cosigner(WITNESS, 4)),
        ("witness-ml-dsa-44", Signer::ml_dsa(WITNESS, 5)),
    ]
}
