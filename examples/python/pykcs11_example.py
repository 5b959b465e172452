#!/usr/bin/env python3
"""Keys in a Strongroom token used through PyKCS11; every result is checked by `cryptography`.

Usage: pykcs11_example.py MODULE.so TOKEN-LABEL    (the PIN is in the variable TOKEN_PIN)
"""
import os
import sys
import threading

import PyKCS11 as p11
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap

TEXT = b"what the example signs and encrypts\n" * 1000
P256 = bytes.fromhex("06082a8648ce3d030107")  # the curve's object identifier, DER
KNOWN = bytes(range(32))  # a key outside the token too, to compare results


def pair(session, mechanism, label, key_id, public):
    """A pair of token keys that signs; the private one never leaves."""
    base = [(p11.CKA_TOKEN, True), (p11.CKA_LABEL, label), (p11.CKA_ID, key_id)]
    secret = [(p11.CKA_PRIVATE, True), (p11.CKA_SENSITIVE, True), (p11.CKA_SIGN, True), (p11.CKA_DERIVE, True)]
    return session.generateKeyPair(base + [(p11.CKA_VERIFY, True)] + public, base + secret, p11.Mechanism(mechanism))


def aes(session, label, *more):
    template = [(p11.CKA_CLASS, p11.CKO_SECRET_KEY), (p11.CKA_KEY_TYPE, p11.CKK_AES), (p11.CKA_LABEL, label), *more]
    if any(attribute == p11.CKA_VALUE for attribute, _ in more):
        return session.createObject(template)
    return session.generateKey(template + [(p11.CKA_VALUE_LEN, 32)], p11.MechanismAESGENERATEKEY)


def refused(code, call):
    try:
        call()
    except p11.PyKCS11Error as error:
        assert error.value == code, error
    else:
        raise AssertionError(f"not refused: {p11.CKR[code]} expected")


def signatures(session):
    public, private = pair(session, p11.CKM_RSA_PKCS_KEY_PAIR_GEN, "pk rsa", b"\x11", [(p11.CKA_MODULUS_BITS, 3072)])
    modulus, exponent = (
        int.from_bytes(bytes(value), "big")
        for value in session.getAttributeValue(public, [p11.CKA_MODULUS, p11.CKA_PUBLIC_EXPONENT])
    )
    signature = bytes(session.sign(private, TEXT, p11.Mechanism(p11.CKM_SHA384_RSA_PKCS)))
    rsa.RSAPublicNumbers(exponent, modulus).public_key().verify(
        signature, TEXT, padding.PKCS1v15(), hashes.SHA384()
    )
    assert session.verify(public, TEXT, signature, p11.Mechanism(p11.CKM_SHA384_RSA_PKCS))
    assert not session.verify(public, TEXT + b"!", signature, p11.Mechanism(p11.CKM_SHA384_RSA_PKCS))

    public, private = pair(session, p11.CKM_EC_KEY_PAIR_GEN, "pk ec", b"\x12", [(p11.CKA_EC_PARAMS, P256)])
    point = bytes(session.getAttributeValue(public, [p11.CKA_EC_POINT])[0])[2:]  # out of its OCTET STRING
    outside = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    signature = bytes(session.sign(private, TEXT, p11.Mechanism(p11.CKM_ECDSA_SHA256)))
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    outside.verify(encode_dss_signature(r, s), TEXT, ec.ECDSA(hashes.SHA256()))

    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    numbers = other.public_numbers()
    point = b"\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
    shared = session.deriveKey(
        private,
        [(p11.CKA_CLASS, p11.CKO_SECRET_KEY), (p11.CKA_KEY_TYPE, p11.CKK_AES), (p11.CKA_VALUE_LEN, 32)],
        p11.ECDH1_DERIVE_Mechanism(point),
    )
    iv = p11.Mechanism(p11.CKM_AES_CBC_PAD, bytes(16))
    assert bytes(session.decrypt(shared, session.encrypt(shared, TEXT, iv), iv)) == TEXT
    print("ok - RSA-3072 and P-256: signatures verified outside; a derived key encrypts")


def secrets(session):
    use = [(p11.CKA_ENCRYPT, True), (p11.CKA_DECRYPT, True)]
    known = aes(session, "pk known", (p11.CKA_VALUE, KNOWN), (p11.CKA_WRAP, True), (p11.CKA_UNWRAP, True), *use)
    nonce = bytes(session.generateRandom(12))
    gcm = p11.AES_GCM_Mechanism(nonce, b"header", 128)
    assert AESGCM(KNOWN).decrypt(nonce, bytes(session.encrypt(known, TEXT, gcm)), b"header") == TEXT
    assert bytes(session.decrypt(known, AESGCM(KNOWN).encrypt(nonce, TEXT, b"header"), gcm)) == TEXT

    inner = aes(session, "pk inner", (p11.CKA_SENSITIVE, False), (p11.CKA_EXTRACTABLE, True), *use)
    wrap = p11.Mechanism(p11.CKM_AES_KEY_WRAP)
    wrapped = session.wrapKey(known, inner, wrap)
    assert aes_key_unwrap(KNOWN, bytes(wrapped)) == bytes(session.getAttributeValue(inner, [p11.CKA_VALUE])[0])
    shape = [(p11.CKA_CLASS, p11.CKO_SECRET_KEY), (p11.CKA_KEY_TYPE, p11.CKK_AES), (p11.CKA_DECRYPT, True)]
    again = session.unwrapKey(known, wrapped, shape, wrap)
    assert bytes(session.decrypt(again, session.encrypt(inner, TEXT, gcm), gcm)) == TEXT

    fixed = aes(session, "pk aes", (p11.CKA_TOKEN, True), (p11.CKA_ID, b"\x13"), *use)
    refused(p11.CKR_KEY_UNEXTRACTABLE, lambda: session.wrapKey(known, fixed, wrap))

    shape = [(p11.CKA_CLASS, p11.CKO_SECRET_KEY), (p11.CKA_KEY_TYPE, p11.CKK_GENERIC_SECRET)]
    mac = session.createObject(shape + [(p11.CKA_VALUE, KNOWN), (p11.CKA_SIGN, True)])
    outside = hmac.HMAC(KNOWN, hashes.SHA256())
    outside.update(TEXT)
    outside.verify(bytes(session.sign(mac, TEXT, p11.Mechanism(p11.CKM_SHA256_HMAC))))
    print("ok - AES-GCM, key wrap and HMAC agree with those outside; a key that must stay cannot be wrapped")


def searching(session):
    found = session.findObjects([(p11.CKA_CLASS, p11.CKO_PRIVATE_KEY), (p11.CKA_LABEL, "pk rsa")])
    assert len(found) == 1
    wanted = [p11.CKA_LABEL, p11.CKA_SENSITIVE, p11.CKA_EXTRACTABLE, p11.CKA_MODULUS_BITS, p11.CKA_PRIVATE_EXPONENT]
    label, sensitive, extractable, _, exponent = session.getAttributeValue(found[0], wanted)
    assert (label, bool(sensitive), bool(extractable), exponent) == ("pk rsa", True, False, None)
    assert not session.findObjects([(p11.CKA_LABEL, "nothing has this name")])
    session.setAttributeValue(found[0], [(p11.CKA_LABEL, "pk renamed")])
    assert len(session.findObjects([(p11.CKA_LABEL, "pk renamed")])) == 1
    session.destroyObject(found[0])
    assert not session.findObjects([(p11.CKA_LABEL, "pk renamed")])
    print("ok - search, attributes (a secret one stays unread), rename, destroy")


def threads(lib, slot):
    """Each thread has a session of its own; the login is the whole process's."""
    done = []

    def sign():
        session = lib.openSession(slot)
        private, = session.findObjects([(p11.CKA_CLASS, p11.CKO_PRIVATE_KEY), (p11.CKA_LABEL, "pk ec")])
        public, = session.findObjects([(p11.CKA_CLASS, p11.CKO_PUBLIC_KEY), (p11.CKA_LABEL, "pk ec")])
        mechanism = p11.Mechanism(p11.CKM_ECDSA_SHA256)
        for number in range(200):
            text = b"text %d" % number
            assert session.verify(public, text, session.sign(private, text, mechanism), mechanism)
        session.closeSession()
        done.append(1)

    workers = [threading.Thread(target=sign) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(done) == len(workers)
    print("ok - 8 threads sign and verify 200 times each")


def tidy(session):
    """Destroys what the example left in the token, so that it can run again."""
    for label in ("pk rsa", "pk ec", "pk aes"):
        for thing in session.findObjects([(p11.CKA_LABEL, label)]):
            session.destroyObject(thing)


def main():
    module, label = sys.argv[1:3]
    lib = p11.PyKCS11Lib()
    lib.load(module)
    slots = (slot for slot in lib.getSlotList(tokenPresent=True) if lib.getTokenInfo(slot).label.strip() == label)
    slot = next(slots, None)
    if slot is None:
        sys.exit(f"no token is called {label}")
    session = lib.openSession(slot, p11.CKF_SERIAL_SESSION | p11.CKF_RW_SESSION)
    try:
        session.login(os.environ["TOKEN_PIN"])
    except p11.PyKCS11Error as error:
        sys.exit(f"log in to {label}: {error}")
    signatures(session)
    secrets(session)
    searching(session)
    threads(lib, slot)
    tidy(session)
    session.logout()
    session.closeSession()


main()
