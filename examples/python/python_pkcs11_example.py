#!/usr/bin/env python3
"""Keys in a Strongroom token used through python-pkcs11; every result is checked by `cryptography`.

Usage: python_pkcs11_example.py MODULE.so TOKEN-LABEL    (the PIN is in the variable TOKEN_PIN)
"""
import os
import sys

import pkcs11
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, padding as block_padding, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, mlkem, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap
from pkcs11 import KDF, MGF, Attribute, GCMParams, KeyType, Mechanism, ObjectClass
from pkcs11 import MLDSAParameterSet, MLKEMParameterSet
from pkcs11.util.ec import encode_ec_public_key, encode_ecdsa_signature, encode_named_curve_parameters
from pkcs11.util.rsa import encode_rsa_public_key

TEXT = b"what the example signs and encrypts\n" * 1000


def rsa(session):
    public, private = session.generate_keypair(KeyType.RSA, 2048, label="py rsa", id=b"\x01", store=True)
    pss = (Mechanism.SHA256, MGF.SHA256, 32)
    signature = private.sign(TEXT, mechanism=Mechanism.SHA256_RSA_PKCS_PSS, mechanism_param=pss)
    assert public.verify(TEXT, signature, mechanism=Mechanism.SHA256_RSA_PKCS_PSS, mechanism_param=pss)
    assert not public.verify(TEXT + b"!", signature, mechanism=Mechanism.SHA256_RSA_PKCS_PSS, mechanism_param=pss)

    outside = serialization.load_der_public_key(encode_rsa_public_key(public))
    outside.verify(signature, TEXT, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    secret = outside.encrypt(b"for the token only", oaep)
    params = (Mechanism.SHA256, MGF.SHA256, None)
    assert private.decrypt(secret, mechanism=Mechanism.RSA_PKCS_OAEP, mechanism_param=params) == b"for the token only"
    print("ok - RSA-2048: PSS signature verified outside, OAEP from outside decrypted")


def elliptic(session):
    curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
    parameters = session.create_domain_parameters(KeyType.EC, curve, local=True)
    public, private = parameters.generate_keypair(label="py ec", id=b"\x02", store=True)
    signature = private.sign(TEXT, mechanism=Mechanism.ECDSA_SHA256)
    outside = serialization.load_der_public_key(encode_ec_public_key(public))
    outside.verify(encode_ecdsa_signature(signature), TEXT, ec.ECDSA(hashes.SHA256()))

    # ECDH: the token and a key that was never in it come to the same secret.
    other = ec.generate_private_key(ec.SECP256R1())
    point = other.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    shared = private.derive_key(
        KeyType.AES, 256, mechanism_param=(KDF.NULL, None, point),
        template={Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True},
    )
    assert shared[Attribute.VALUE] == other.exchange(ec.ECDH(), outside)
    print("ok - P-256: ECDSA verified outside, ECDH agrees with a key outside")


def edwards(session):
    curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("1.3.101.112")}
    parameters = session.create_domain_parameters(KeyType.EC_EDWARDS, curve, local=True)
    public, private = parameters.generate_keypair(
        mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN, label="py ed", id=b"\x03", store=True
    )
    signature = private.sign(TEXT, mechanism=Mechanism.EDDSA)
    point = public[Attribute.EC_POINT][-32:]  # the last 32 bytes, DER or raw
    ed25519.Ed25519PublicKey.from_public_bytes(point).verify(signature, TEXT)
    print("ok - Ed25519: signature verified outside")


def post_quantum_signatures(session):
    sets = {
        MLDSAParameterSet.ML_DSA_44: (mldsa.MLDSA44PrivateKey, mldsa.MLDSA44PublicKey),
        MLDSAParameterSet.ML_DSA_65: (mldsa.MLDSA65PrivateKey, mldsa.MLDSA65PublicKey),
        MLDSAParameterSet.ML_DSA_87: (mldsa.MLDSA87PrivateKey, mldsa.MLDSA87PublicKey),
    }
    for parameter_set, (private_type, public_type) in sets.items():
        public, private = session.generate_keypair(
            KeyType.ML_DSA, label="py ml-dsa", id=b"\x06", store=True,
            public_template={Attribute.PARAMETER_SET: parameter_set},
        )
        public_type.from_public_bytes(public[Attribute.VALUE]).verify(private.sign(TEXT), TEXT)
        # A key from outside, by its seed.
        outside = private_type.generate()
        brought = session.create_object({
            Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.KEY_TYPE: KeyType.ML_DSA, Attribute.SIGN: True,
            Attribute.PARAMETER_SET: parameter_set, Attribute.SEED: outside.private_bytes_raw(),
        })
        outside.public_key().verify(brought.sign(TEXT), TEXT)
        known = session.create_object({
            Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.KEY_TYPE: KeyType.ML_DSA, Attribute.VERIFY: True,
            Attribute.PARAMETER_SET: parameter_set, Attribute.VALUE: outside.public_key().public_bytes_raw(),
        })
        assert known.verify(TEXT, outside.sign(TEXT)) and not known.verify(TEXT + b"!", outside.sign(TEXT))
    print("ok - ML-DSA-44, 65 and 87: signatures verified outside and inside, a seed brought from outside")


def post_quantum_secrets(session):
    sets = {
        MLKEMParameterSet.ML_KEM_768: mlkem.MLKEM768PublicKey,
        MLKEMParameterSet.ML_KEM_1024: mlkem.MLKEM1024PublicKey,
    }
    readable = {Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True}
    for parameter_set, public_type in sets.items():
        public, private = session.generate_keypair(
            KeyType.ML_KEM, label="py ml-kem", id=b"\x07", store=True,
            public_template={Attribute.PARAMETER_SET: parameter_set},
        )
        # What somebody outside encapsulates comes out in the token.
        secret, ciphertext = public_type.from_public_bytes(public[Attribute.VALUE]).encapsulate()
        inside = private.decapsulate_key(ciphertext, KeyType.AES, 256, template=readable)
        assert inside[Attribute.VALUE] == secret
        ciphertext, key = public.encapsulate_key(KeyType.AES, 256)
        sealed = key.encrypt(TEXT, mechanism_param=bytes(16))
        again = private.decapsulate_key(ciphertext, KeyType.AES, 256)
        assert again.decrypt(sealed, mechanism_param=bytes(16)) == TEXT
    print("ok - ML-KEM-768 and 1024: secrets encapsulated outside and inside come out")


def encryption(session):
    key = session.generate_key(KeyType.AES, 256, label="py aes", id=b"\x04", store=True)
    nonce, aad = os.urandom(12), b"header"
    gcm = {"mechanism": Mechanism.AES_GCM, "mechanism_param": GCMParams(nonce, aad, 128)}
    sealed = key.encrypt(TEXT, **gcm)
    assert key.decrypt(sealed, **gcm) == TEXT
    try:
        key.decrypt(sealed[:-1] + bytes([sealed[-1] ^ 1]), **gcm)
        raise AssertionError("an altered tag was accepted")
    except pkcs11.EncryptedDataInvalid:
        pass
    iv = session.generate_random(128)
    parts = list(key.encrypt(iter([TEXT[:5000], TEXT[5000:]]), mechanism_param=iv))
    assert key.decrypt(b"".join(parts), mechanism_param=iv) == TEXT

    # A key known to both sides shows that the token's GCM and CBC are everybody's.
    value = os.urandom(32)
    known = session.create_object({
        Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES, Attribute.VALUE: value,
        Attribute.ENCRYPT: True, Attribute.DECRYPT: True,
    })
    assert AESGCM(value).decrypt(nonce, known.encrypt(TEXT, **gcm), aad) == TEXT
    assert known.decrypt(AESGCM(value).encrypt(nonce, TEXT, aad), **gcm) == TEXT
    decryptor, unpadder = Cipher(algorithms.AES(value), modes.CBC(iv)).decryptor(), block_padding.PKCS7(128).unpadder()
    padded = decryptor.update(known.encrypt(TEXT, mechanism_param=iv)) + decryptor.finalize()
    assert unpadder.update(padded) + unpadder.finalize() == TEXT
    try:
        AESGCM(value).decrypt(nonce, sealed, aad)
        raise AssertionError("another key opened it")
    except InvalidTag:
        print("ok - AES-256: GCM and CBC both ways, whole and in parts; an altered tag refused")


def wrapping(session):
    value = os.urandom(32)
    wrapper = session.create_object({
        Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES, Attribute.VALUE: value,
        Attribute.WRAP: True, Attribute.UNWRAP: True,
    })
    inner = session.generate_key(KeyType.AES, 256, template={Attribute.EXTRACTABLE: True, Attribute.SENSITIVE: False})
    wrapped = wrapper.wrap_key(inner, mechanism=Mechanism.AES_KEY_WRAP)
    assert aes_key_unwrap(value, wrapped) == inner[Attribute.VALUE]
    back = wrapper.unwrap_key(
        ObjectClass.SECRET_KEY, KeyType.AES, aes_key_wrap(value, bytes(range(32))), mechanism=Mechanism.AES_KEY_WRAP,
        template={Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True},
    )
    assert back[Attribute.VALUE] == bytes(range(32))
    fixed = session.get_key(label="py aes", object_class=ObjectClass.SECRET_KEY)
    for refused, attempt in [
        (pkcs11.KeyUnextractable, lambda: wrapper.wrap_key(fixed, mechanism=Mechanism.AES_KEY_WRAP)),
        (pkcs11.AttributeSensitive, lambda: fixed[Attribute.VALUE]),
    ]:
        try:
            attempt()
            raise AssertionError("a key that must stay in the token came out")
        except refused:
            pass
    print("ok - AES key wrap agrees with the one outside; a key that must stay cannot be wrapped or read")


def searching(session):
    found = session.get_key(object_class=ObjectClass.PRIVATE_KEY, label="py rsa")
    assert found.id == b"\x01" and found[Attribute.SENSITIVE] and found[Attribute.NEVER_EXTRACTABLE]
    keys = {o[Attribute.LABEL] for o in session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})}
    assert keys >= {"py rsa", "py ec", "py ed"}, keys
    found[Attribute.LABEL] = "py renamed"
    assert session.get_key(label="py renamed").id == b"\x01"
    found.destroy()
    try:
        session.get_key(label="py renamed")
        raise AssertionError("a destroyed key was found")
    except pkcs11.NoSuchKey:
        print("ok - search by class, id and label; attributes; rename; destroy")


def tidy(session):
    """Destroys what the example left in the token, so that it can run again."""
    for label in ("py rsa", "py ec", "py ed", "py ml-dsa", "py ml-kem", "py aes"):
        for thing in list(session.get_objects({Attribute.LABEL: label})):
            thing.destroy()


def main():
    module, label = sys.argv[1:3]
    token = pkcs11.lib(module).get_token(token_label=label)
    try:
        session = token.open(rw=True, user_pin=os.environ["TOKEN_PIN"])
    except (pkcs11.PinIncorrect, pkcs11.PinLocked) as error:
        sys.exit(f"log in to {token.label}: {type(error).__name__}")
    with session:
        keys = (rsa, elliptic, edwards, post_quantum_signatures, post_quantum_secrets)
        for work in (*keys, encryption, wrapping, searching, tidy):
            work(session)


main()
