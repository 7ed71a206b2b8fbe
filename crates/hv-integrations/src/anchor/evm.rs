//! Anchors on an EVM chain: a transaction to oneself whose data is the digest.
//!
//! EIP-1559 transactions (EIP-2718 type 2), signed here and sent raw, so the key never leaves the process. What is
//! made ready is the signed transaction with its nonce: sent again it is the same transaction, and a chain takes a
//! nonce of an account once. Another one is made only when so many blocks lie on a block that used up the nonce
//! for something else.

use super::{ANSWER_MAX_BYTES, Anchor, AnchorFault, Look, agent};
use core::fmt;
use hv_types::Digest;
use k256::ecdsa::SigningKey;
use serde_json::{Value, json};
use sha3::{Digest as _, Keccak256};

/// What the data of a transaction begins with; the digest follows.
pub const DATA_PREFIX: &[u8; 9] = b"hv-anchor";

/// So many blocks on top make a transaction final, unless told otherwise: two epochs of 32.
pub const CONFIRMATIONS: u64 = 64;

/// More than the transaction takes: 21 000, and at most 40 for each of 41 bytes (EIP-7623).
const GAS: u64 = 30_000;

/// A chain, as a node of it answers; whoever only looks needs no key.
pub struct EvmChain {
    url: String,
    confirmations: u64,
    agent: ureq::Agent,
}

/// Where a transaction stands on a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mined {
    /// The block's hash, in hexadecimal digits.
    pub block: String,
    /// The block's number.
    pub number: u64,
    /// How many blocks lie on it, its own counted.
    pub depth: u64,
    /// Whether those are enough.
    pub is_final: bool,
    /// The block's time, in seconds since 1970-01-01 00:00 UTC, where the node tells it.
    pub time: Option<u64>,
}

impl EvmChain {
    /// The chain that the node at this JSON-RPC interface knows.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), confirmations: CONFIRMATIONS, agent: agent() }
    }

    /// The same that takes a transaction for final under so many blocks, its own counted.
    #[must_use]
    pub fn with_confirmations(self, confirmations: u64) -> Self {
        Self { confirmations: confirmations.max(1), ..self }
    }

    /// Whether the transaction of a receipt anchors this digest, and where it stands; `None`: in no block now.
    ///
    /// # Errors
    /// [`AnchorFault::Unusable`] where the receipt is none of such a transaction, or the transaction failed;
    /// [`AnchorFault::Unreachable`] and [`AnchorFault::Refused`] where the node does not answer.
    pub fn mined(&self, digest: &Digest, receipt: &[u8]) -> Result<Option<Mined>, AnchorFault> {
        let transaction = transaction_of(receipt, digest)?;
        let Some((block, number)) = self.block_of(&transaction)? else { return Ok(None) };
        let depth = self.depth(number)?;
        let header = self.call("eth_getBlockByHash", &json!([block, false]))?;
        let time = header.get("timestamp").and_then(quantity);
        Ok(Some(Mined { block, number, depth, is_final: depth >= self.confirmations, time }))
    }

    /// The block of a transaction; `None` where it is in none.
    fn block_of(&self, transaction: &str) -> Result<Option<(String, u64)>, AnchorFault> {
        let mined = self.call("eth_getTransactionReceipt", &json!([transaction]))?;
        let block = mined.get("blockHash").and_then(Value::as_str);
        let Some((block, number)) = block.zip(mined.get("blockNumber").and_then(quantity)) else {
            return Ok(None);
        };
        if mined.get("status").and_then(quantity) != Some(1) {
            return Err(AnchorFault::Unusable { why: format!("{transaction} failed on the chain") });
        }
        Ok(Some((block.to_owned(), number)))
    }

    /// How many blocks there are from this one on.
    fn depth(&self, number: u64) -> Result<u64, AnchorFault> {
        let latest = self.number("eth_blockNumber", &json!([]))?;
        Ok(latest.saturating_sub(number).saturating_add(1))
    }

    fn call(&self, method: &str, params: &Value) -> Result<Value, AnchorFault> {
        let why = |error: &dyn fmt::Display| AnchorFault::Unreachable { why: format!("{method}: {error}") };
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let sent = self.agent.post(&self.url).content_type("application/json").send(body.as_bytes());
        let mut answer = sent.map_err(|error| why(&error))?;
        let text = answer.body_mut().with_config().limit(ANSWER_MAX_BYTES).read_to_string();
        let text = text.map_err(|error| why(&error))?;
        let answer: Value = serde_json::from_str(&text).map_err(|error| why(&error))?;
        if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
            let message = error.get("message").and_then(Value::as_str).unwrap_or("an error without words");
            let message: String = message.chars().take(300).collect();
            return Err(AnchorFault::Refused { why: format!("{method}: {message}") });
        }
        let result = answer.get("result").cloned();
        result.ok_or_else(|| AnchorFault::Unusable { why: format!("{method}: neither result nor error") })
    }

    fn number(&self, method: &str, params: &Value) -> Result<u64, AnchorFault> {
        let answer = self.call(method, params)?;
        quantity(&answer)
            .ok_or_else(|| AnchorFault::Unusable { why: format!("{method}: {answer} is no number") })
    }
}

impl fmt::Debug for EvmChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvmChain").field("confirmations", &self.confirmations).finish_non_exhaustive()
    }
}

/// An account on an EVM chain.
pub struct EvmAnchor {
    chain: EvmChain,
    key: SigningKey,
    address: [u8; 20],
}

impl EvmAnchor {
    /// An account by its private key, behind the JSON-RPC interface of a node.
    ///
    /// # Errors
    /// [`AnchorFault::Unusable`] where the key is none: not 64 hexadecimal digits, zero, or too large.
    pub fn new(url: &str, key: &str) -> Result<Self, AnchorFault> {
        let unusable =
            || AnchorFault::Unusable { why: "the key is no 64 hexadecimal digits of a key".to_owned() };
        let bytes = unhex(key.trim()).ok_or_else(unusable)?;
        let key = SigningKey::from_slice(&bytes).map_err(|_| unusable())?;
        let point = key.verifying_key().to_encoded_point(false);
        let hash = Keccak256::digest(point.as_bytes().get(1..).unwrap_or_default());
        let address = hash.last_chunk::<20>().copied().unwrap_or_default();
        Ok(Self { chain: EvmChain::new(url), key, address })
    }

    /// The same that takes a transaction for final under so many blocks, its own counted.
    #[must_use]
    pub fn with_confirmations(self, confirmations: u64) -> Self {
        Self { chain: self.chain.with_confirmations(confirmations), ..self }
    }

    /// The account's address.
    #[must_use]
    pub fn address(&self) -> String {
        hex(&self.address)
    }

    /// Whether a block that lies deep enough used up a nonce.
    fn used_up_for_good(&self, nonce: u64) -> Result<bool, AnchorFault> {
        let latest = self.chain.number("eth_blockNumber", &json!([]))?;
        let Some(deep) = latest.checked_sub(self.chain.confirmations) else { return Ok(false) };
        let count = json!([self.address(), format!("{deep:#x}")]);
        Ok(self.chain.number("eth_getTransactionCount", &count)? > nonce)
    }
}

impl fmt::Debug for EvmAnchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvmAnchor").field("address", &self.address()).finish_non_exhaustive()
    }
}

impl Anchor for EvmAnchor {
    fn target(&self) -> String {
        // Without what a URL may carry of secrets.
        let url = &*self.chain.url;
        let host = url.split_once("://").map_or(url, |(_, rest)| rest);
        let host = host.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        format!("evm:{host}:{}", self.address())
    }

    fn prepare(&self, digest: &Digest) -> Result<Vec<u8>, AnchorFault> {
        let chain = self.chain.number("eth_chainId", &json!([]))?;
        let nonce = self.chain.number("eth_getTransactionCount", &json!([self.address(), "pending"]))?;
        let tip = self.chain.number("eth_maxPriorityFeePerGas", &json!([])).unwrap_or(1_000_000_000);
        let block = self.chain.call("eth_getBlockByNumber", &json!(["latest", false]))?;
        let base = block.get("baseFeePerGas").and_then(quantity).unwrap_or(1_000_000_000);
        // Room for the base fee to double, which takes at least six full blocks.
        let fee = base.saturating_mul(2).saturating_add(tip);
        let data = [&DATA_PREFIX[..], &digest.0].concat();
        let fields = |signed: &[Vec<u8>]| {
            let mut items = vec![
                number_item(chain),
                number_item(nonce),
                number_item(tip),
                number_item(fee),
                number_item(GAS),
                item(&self.address),
                number_item(0),
                item(&data),
                list(&[]),
            ];
            items.extend_from_slice(signed);
            [&[2][..], &list(&items)].concat()
        };
        let hash = Keccak256::digest(fields(&[]));
        let (signature, recovery) = self
            .key
            .sign_prehash_recoverable(&hash)
            .map_err(|_| AnchorFault::Unusable { why: "the key does not sign".to_owned() })?;
        let bytes = signature.to_bytes();
        let (r, s) = bytes.split_at(32);
        let raw = fields(&[number_item(u64::from(recovery.to_byte())), item(trimmed(r)), item(trimmed(s))]);
        let name = hex(&Keccak256::digest(&raw));
        let receipt = json!({ "chain": chain, "nonce": nonce, "transaction": name, "raw": hex(&raw) });
        Ok(receipt.to_string().into_bytes())
    }

    fn send(&self, _: &Digest, receipt: &[u8]) -> Result<Vec<u8>, AnchorFault> {
        let kept = Receipt::read(receipt)?;
        match self.chain.call("eth_sendRawTransaction", &json!([kept.raw])) {
            Ok(_) => Ok(receipt.to_vec()),
            Err(AnchorFault::Refused { why }) => {
                // It arrived before: then the chain knows it, whatever words it has for that.
                let known = self.chain.call("eth_getTransactionByHash", &json!([kept.transaction]))?;
                if known.is_null() { Err(AnchorFault::Refused { why }) } else { Ok(receipt.to_vec()) }
            }
            Err(fault) => Err(fault),
        }
    }

    fn look(&self, _: &Digest, receipt: &[u8]) -> Result<Look, AnchorFault> {
        let kept = Receipt::read(receipt)?;
        if let Some((block, number)) = self.chain.block_of(&kept.transaction)? {
            let depth = self.chain.depth(number)?;
            let mut value = kept.value;
            if let Some(fields) = value.as_object_mut() {
                fields.insert("block".to_owned(), json!(block));
                fields.insert("number".to_owned(), json!(number));
            }
            let receipt = value.to_string().into_bytes();
            return Ok(Look::Included { receipt, is_final: depth >= self.chain.confirmations });
        }
        let named = json!([kept.transaction]);
        if !self.chain.call("eth_getTransactionByHash", &named)?.is_null() {
            return Ok(Look::Pending);
        }
        Ok(if self.used_up_for_good(kept.nonce)? { Look::Lost } else { Look::Missing })
    }
}

/// What is kept of a transaction.
struct Receipt {
    value: Value,
    transaction: String,
    raw: String,
    nonce: u64,
}

impl Receipt {
    fn read(receipt: &[u8]) -> Result<Self, AnchorFault> {
        let unusable = || AnchorFault::Unusable { why: "the receipt is none of a transaction".to_owned() };
        let value: Value = serde_json::from_slice(receipt).map_err(|_| unusable())?;
        let text = |name: &str| value.get(name)?.as_str().map(str::to_owned);
        let (transaction, raw) = text("transaction").zip(text("raw")).ok_or_else(unusable)?;
        let nonce = value.get("nonce").and_then(Value::as_u64).ok_or_else(unusable)?;
        let bytes = unhex(raw.trim_start_matches("0x")).ok_or_else(unusable)?;
        // The name commits to every byte of it.
        if hex(&Keccak256::digest(bytes)) != transaction {
            return Err(unusable());
        }
        Ok(Self { value, transaction, raw, nonce })
    }
}

/// Whether a receipt is of a transaction that anchors this digest: what an auditor checks before asking any node
/// whether the transaction is on its chain. Gives the transaction's name.
///
/// # Errors
/// [`AnchorFault::Unusable`] where it is none, or of another digest.
pub fn transaction_of(receipt: &[u8], digest: &Digest) -> Result<String, AnchorFault> {
    let kept = Receipt::read(receipt)?;
    let raw = unhex(kept.raw.trim_start_matches("0x")).unwrap_or_default();
    let data = item(&[&DATA_PREFIX[..], &digest.0].concat());
    if raw.windows(data.len()).any(|window| window == data) {
        Ok(kept.transaction)
    } else {
        Err(AnchorFault::Unusable { why: "the transaction anchors something else".to_owned() })
    }
}

fn quantity(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |mut text, byte| {
        text.push_str(&format!("{byte:02x}"));
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_prefix("0x").unwrap_or(text);
    let digits = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    if digits { (0..text.len()).step_by(2).map(byte).collect() } else { None }
}

/// Without zeros in front.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

/// A string of bytes in RLP (Ethereum yellow paper, appendix B).
fn item(bytes: &[u8]) -> Vec<u8> {
    match bytes {
        [byte] if *byte < 0x80 => vec![*byte],
        bytes => [&head(0x80, bytes.len())[..], bytes].concat(),
    }
}

fn number_item(number: u64) -> Vec<u8> {
    item(trimmed(&number.to_be_bytes()))
}

/// A list of items that are encoded already.
fn list(items: &[Vec<u8>]) -> Vec<u8> {
    let content = items.concat();
    [&head(0xc0, content.len())[..], &content].concat()
}

fn head(base: u8, length: usize) -> Vec<u8> {
    match u8::try_from(length) {
        Ok(short) if short < 56 => vec![base + short],
        _ => {
            let length = (length as u64).to_be_bytes();
            let length = trimmed(&length);
            let count = u8::try_from(length.len()).unwrap_or(8);
            [&[base + 55 + count], length].concat()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the yellow paper's authors, from the description of RLP.
    #[test]
    fn rlp_is_as_described() {
        assert_eq!(item(b"dog"), [0x83, b'd', b'o', b'g']);
        assert_eq!(list(&[item(b"cat"), item(b"dog")]), b"\xc8\x83cat\x83dog");
        assert_eq!(item(b""), [0x80]);
        assert_eq!(list(&[]), [0xc0]);
        assert_eq!(
            (number_item(0), number_item(15), number_item(1024)),
            (vec![0x80], vec![15], vec![0x82, 4, 0])
        );
        let text = b"Lorem ipsum dolor sit amet, consectetur adipisicing elit";
        assert_eq!(item(text), [&[0xb8, 0x38][..], text].concat());
    }

    /// The first account that every development chain makes from its well-known words.
    #[test]
    fn an_address_follows_from_its_key() {
        let key = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
        let anchor = EvmAnchor::new("http://user:secret@127.0.0.1:1/path?key=secret", key).unwrap();
        assert_eq!(anchor.address(), "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266");
        assert_eq!(anchor.target(), "evm:127.0.0.1:1:0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266");
        for bad in ["", "0x00", "zz", &"0".repeat(64), &"f".repeat(64)] {
            assert!(matches!(EvmAnchor::new("http://x", bad), Err(AnchorFault::Unusable { .. })), "{bad}");
        }
        let fault = anchor.prepare(&Digest([1; 32])).unwrap_err();
        assert!(matches!(fault, AnchorFault::Unreachable { .. }), "{fault}");
    }
}
