"""The local certificate authority: one server certificate, for a few names only (RFC 5280 §4.2.1.10).

Its name constraints are critical, so that a stolen authority cannot speak for another site.
"""

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFETIME = timedelta(days=3650)
CERTIFICATE_LIFETIME = timedelta(days=90)
RENEW_BEFORE = timedelta(days=30)
# Clocks of other machines run behind ours.
CLOCK_LEEWAY = timedelta(hours=1)


def new_authority(names: Sequence[str], now: datetime) -> tuple[bytes, bytes]:
    """Certificate (PEM) and private key (PKCS #8, DER; the caller encrypts it)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(f"Doorward local CA {now:%Y-%m-%d}")
    permitted = [_permitted(name) for name in dict.fromkeys(("localhost", "127.0.0.1", "::1", *names))]
    builder = (
        _builder(subject, subject, key.public_key(), now, AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(list(dict.fromkeys(permitted)), None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    certificate = builder.sign(key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def issue(authority_pem: bytes, authority_key: bytes, names: Sequence[str], now: datetime) -> bytes:
    """A fresh key and its certificate in one PEM text: one file is replaced in one step."""
    authority = x509.load_pem_x509_certificate(authority_pem)
    signer = serialization.load_der_private_key(authority_key, password=None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        _builder(_subject("Doorward server"), authority.subject, key.public_key(), now, CERTIFICATE_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def permits(authority_pem: bytes, names: Sequence[str]) -> bool:
    authority = x509.load_pem_x509_certificate(authority_pem)
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    permitted = constraints.permitted_subtrees or []
    return all(any(_covers(subtree, name) for subtree in permitted) for name in names)


def still_good(certificate_pem: bytes, authority_pem: bytes, names: Sequence[str], now: datetime) -> bool:
    """Signed by this authority, for exactly these names, and not soon to expire."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority_pem))
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    wanted = {_general_name(name) for name in names}
    return set(found) == wanted and certificate.not_valid_after_utc - now > RENEW_BEFORE


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - CLOCK_LEEWAY,
        not_valid_after=now + lifetime,
    )


def _subject(common_name: str) -> x509.Name:
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Doorward")
    return x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _permitted(name: str) -> x509.GeneralName:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return x509.DNSName(name)
    loopback = address.version == 4 and address.is_loopback
    return x509.IPAddress(ipaddress.ip_network("127.0.0.0/8" if loopback else address))


def _covers(subtree: x509.GeneralName, name: str) -> bool:
    wanted = _general_name(name)
    if isinstance(subtree, x509.IPAddress) and isinstance(wanted, x509.IPAddress):
        return ipaddress.ip_address(name) in ipaddress.ip_network(str(subtree.value))
    if isinstance(subtree, x509.DNSName) and isinstance(wanted, x509.DNSName):
        return name == subtree.value or name.endswith(f".{subtree.value}")
    return False
