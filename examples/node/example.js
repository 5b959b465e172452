// Keys in a Strongroom token, used through graphene-pk11; every result is checked by node's own crypto.
//
// Usage: node example.js MODULE.so TOKEN-LABEL    (the PIN is in the variable TOKEN_PIN)
"use strict";

const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const { promisify } = require("node:util");
const p11 = require("graphene-pk11");

const TEXT = Buffer.from("what the example signs and encrypts\n".repeat(1000));
const KNOWN = crypto.randomBytes(32); // a key outside the token too, to compare results
// graphene-pk11 2.3 does not know Edwards curves by name: the numbers of PKCS#11 3.0.
p11.Mechanism.vendor("EC_EDWARDS_KEY_PAIR_GEN", 0x1055);
p11.Mechanism.vendor("EDDSA", 0x1057);
const CKK_EC_EDWARDS = 0x40;
const ED25519 = Buffer.from("06032b6570", "hex"); // the curve's object identifier, DER

// A pair of token keys that signs; the private one never leaves.
function pair(session, mechanism, keyType, label, id, shape) {
  const both = { token: true, keyType, label, id: Buffer.from([id]) };
  return session.generateKeyPair(
    mechanism,
    { ...both, verify: true, ...shape },
    { ...both, private: true, sensitive: true, extractable: false, sign: true, derive: true },
  );
}

function outside(jwk) {
  const text = (part) => (Buffer.isBuffer(part) ? part.toString("base64url") : part);
  const key = Object.fromEntries(Object.entries(jwk).map(([name, part]) => [name, text(part)]));
  return crypto.createPublicKey({ key, format: "jwk" });
}

function refused(code, work) {
  assert.throws(work, (error) => error.message.includes(code) || assert.fail(`${code} expected: ${error.message}`));
}

function rsa(session) {
  const { publicKey, privateKey } = pair(session, "RSA_PKCS_KEY_PAIR_GEN", p11.KeyType.RSA, "js rsa", 0x31, {
    modulusBits: 2048,
    publicExponent: Buffer.from([1, 0, 1]),
  });
  const { modulus: n, publicExponent: e } = publicKey.getAttribute({ modulus: null, publicExponent: null });
  const key = outside({ kty: "RSA", n, e });
  const params = new p11.RsaPssParams(p11.MechanismEnum.SHA256, p11.RsaMgf.MGF1_SHA256, 32);
  const pss = { name: "SHA256_RSA_PKCS_PSS", params };
  const signature = session.createSign(pss, privateKey).once(TEXT);
  const padding = { padding: crypto.constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
  assert(crypto.verify("sha256", TEXT, { key, ...padding }, signature));
  assert(session.createVerify(pss, publicKey).once(TEXT, signature));
  assert.equal(session.createVerify(pss, publicKey).once(Buffer.from("!"), signature), false);

  const v15 = session.createSign("SHA512_RSA_PKCS", privateKey); // and in parts
  v15.update(TEXT.subarray(0, 1000));
  v15.update(TEXT.subarray(1000));
  assert(crypto.verify("sha512", TEXT, key, v15.final()));
  console.log("ok - RSA-2048: PSS and PKCS#1 signatures verified outside");
}

function elliptic(session) {
  const shape = { paramsECDSA: p11.NamedCurve.getByName("secp256r1").value };
  const { publicKey, privateKey } = pair(session, "EC_KEY_PAIR_GEN", p11.KeyType.EC, "js ec", 0x32, shape);
  const point = publicKey.getAttribute("pointEC").subarray(3); // OCTET STRING, length, uncompressed
  const key = outside({ kty: "EC", crv: "P-256", x: point.subarray(0, 32), y: point.subarray(32) });
  const signature = session.createSign("ECDSA_SHA256", privateKey).once(TEXT);
  assert(crypto.verify("sha256", TEXT, { key, dsaEncoding: "ieee-p1363" }, signature));

  // ECDH: the token and a key that was never in it come to the same secret.
  const other = crypto.createECDH("prime256v1");
  const params = new p11.EcdhParams(p11.EcKdf.NULL, null, other.generateKeys());
  const shared = session.deriveKey({ name: "ECDH1_DERIVE", params }, privateKey, {
    class: p11.ObjectClass.SECRET_KEY,
    keyType: p11.KeyType.AES,
    valueLen: 32,
    sensitive: false,
    extractable: true,
  });
  const same = other.computeSecret(Buffer.concat([Buffer.from([4]), point]));
  assert.deepEqual(shared.getAttribute("value"), same);
  console.log("ok - P-256: ECDSA verified outside, ECDH agrees with a key outside");
}

function edwards(session) {
  const shape = { paramsECDSA: ED25519 };
  const { publicKey, privateKey } = pair(session, "EC_EDWARDS_KEY_PAIR_GEN", CKK_EC_EDWARDS, "js ed", 0x33, shape);
  const x = publicKey.getAttribute("pointEC").subarray(-32);
  const signature = session.createSign("EDDSA", privateKey).once(TEXT);
  assert(crypto.verify(null, TEXT, outside({ kty: "OKP", crv: "Ed25519", x }), signature));
  console.log("ok - Ed25519: signature verified outside");
}

function secret(session, more) {
  return session.create({
    class: p11.ObjectClass.SECRET_KEY, keyType: p11.KeyType.AES, value: KNOWN, encrypt: true, decrypt: true, ...more,
  }).toType();
}

function encryption(session) {
  const known = secret(session);
  const iv = session.generateRandom(12);
  const aad = Buffer.from("header");
  const gcm = { name: "AES_GCM", params: new p11.AesGcmParams(iv, aad, 128) };
  const room = () => Buffer.alloc(TEXT.length + 32);
  const sealed = session.createCipher(gcm, known).once(TEXT, room());

  const open = crypto.createDecipheriv("aes-256-gcm", KNOWN, iv).setAAD(aad).setAuthTag(sealed.subarray(-16));
  assert.deepEqual(Buffer.concat([open.update(sealed.subarray(0, -16)), open.final()]), TEXT);
  const seal = crypto.createCipheriv("aes-256-gcm", KNOWN, iv).setAAD(aad);
  const theirs = Buffer.concat([seal.update(TEXT), seal.final(), seal.getAuthTag()]);
  assert.deepEqual(session.createDecipher(gcm, known).once(theirs, room()), TEXT);
  theirs[0] ^= 1;
  refused("CKR_ENCRYPTED_DATA_INVALID", () => session.createDecipher(gcm, known).once(theirs, room()));

  const cbc = { name: "AES_CBC_PAD", params: crypto.randomBytes(16) };
  const cipher = session.createCipher(cbc, known); // in parts
  const parts = Buffer.concat([cipher.update(TEXT.subarray(0, 999)), cipher.update(TEXT.subarray(999)), cipher.final()]);
  const decipher = crypto.createDecipheriv("aes-256-cbc", KNOWN, cbc.params);
  assert.deepEqual(Buffer.concat([decipher.update(parts), decipher.final()]), TEXT);
  console.log("ok - AES-256: GCM both ways, CBC in parts, as node's; an altered text refused");
}

function wrapping(session) {
  const wrapper = secret(session, { wrap: true, unwrap: true });
  const shape = { keyType: p11.KeyType.AES, class: p11.ObjectClass.SECRET_KEY };
  const leaves = session.generateKey("AES_KEY_GEN", { ...shape, valueLen: 32, sensitive: false, extractable: true });
  const wrapped = session.wrapKey("AES_KEY_WRAP", wrapper, leaves);
  const unwrap = crypto.createDecipheriv("id-aes256-wrap", KNOWN, Buffer.alloc(8, 0xa6));
  assert.deepEqual(unwrap.update(wrapped), leaves.getAttribute("value"));
  const back = session.unwrapKey("AES_KEY_WRAP", wrapper, wrapped, { ...shape, sensitive: false, extractable: true });
  assert.deepEqual(back.getAttribute("value"), leaves.getAttribute("value"));
  const stays = session.generateKey("AES_KEY_GEN", {
    ...shape, valueLen: 32, token: true, label: "js aes", id: Buffer.from([0x34]), sensitive: true, extractable: false,
  });
  refused("CKR_KEY_UNEXTRACTABLE", () => session.wrapKey("AES_KEY_WRAP", wrapper, stays));
  refused("CKR_ATTRIBUTE_SENSITIVE", () => stays.getAttribute("value"));
  console.log("ok - AES key wrap agrees with node's; a key that must stay cannot be wrapped or read");
}

// Given a callback, the work is done on node's thread pool. Each session does one thing at a time: eight sessions.
async function parallel(slot) {
  await Promise.all(Array.from({ length: 8 }, async (_, number) => {
    const session = slot.open();
    const privateKey = session.find({ class: p11.ObjectClass.PRIVATE_KEY, label: "js ec" }).items(0).toType();
    const publicKey = session.find({ class: p11.ObjectClass.PUBLIC_KEY, label: "js ec" }).items(0).toType();
    for (let round = 0; round < 100; round++) {
      const text = Buffer.from(`text ${round} of session ${number}`);
      const sign = session.createSign("ECDSA_SHA256", privateKey);
      const signature = await promisify(sign.once.bind(sign))(text);
      assert(session.createVerify("ECDSA_SHA256", publicKey).once(text, signature));
    }
    session.close();
  }));
  console.log("ok - 8 sessions sign 100 times each on node's thread pool");
}

function searching(session) {
  const found = session.find({ class: p11.ObjectClass.PRIVATE_KEY, label: "js rsa" });
  assert.equal(found.length, 1);
  const key = found.items(0);
  assert.deepEqual(key.getAttribute({ sensitive: null, extractable: null }), { sensitive: true, extractable: false });
  key.setAttribute({ label: "js renamed" });
  assert.equal(session.find({ label: "js renamed" }).length, 1);
  for (const label of ["js renamed", "js rsa", "js ec", "js ed", "js aes"]) {
    assert(session.find({ label }).length > 0);
    session.destroy({ label });
    assert.equal(session.find({ label }).length, 0);
  }
  console.log("ok - search, attributes, rename, destroy");
}

function slotOf(token, label) {
  const slots = token.getSlots(true);
  for (let index = 0; index < slots.length; index++) {
    if (slots.items(index).getToken().label.trim() === label) return slots.items(index);
  }
  throw new Error(`no token is called ${label}`);
}

async function main([module, label]) {
  const token = p11.Module.load(module, "Strongroom");
  token.initialize();
  try {
    const slot = slotOf(token, label);
    const session = slot.open(p11.SessionFlag.RW_SESSION | p11.SessionFlag.SERIAL_SESSION);
    session.login(process.env.TOKEN_PIN);
    for (const work of [rsa, elliptic, edwards, encryption, wrapping]) work(session);
    await parallel(slot);
    searching(session);
    session.logout();
    session.close();
  } finally {
    token.finalize();
  }
}

main(process.argv.slice(2)).catch((error) => {
  // The token's own answers and ours in a line; a bug of the example with its stack.
  console.error(error.code === "ERR_ASSERTION" ? error.stack : `error: ${error.message}`);
  process.exitCode = 1;
});
