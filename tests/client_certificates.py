"""Authorities of gateways' certificates, and what they sign: good ones, ended ones, and those for another purpose."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


@dataclass(frozen=True)
class Authority:
    name: str = "gateways"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def pem(self) -> bytes:
        builder = self._builder(self.name, self.key.public_key(), datetime.now(UTC) + DAY)
        made = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        return made.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def certified(
        self, directory: Path, *, ends_in: timedelta = DAY, purpose: x509.ObjectIdentifier = CLIENT
    ) -> tuple[Path, Path]:  # fmt: skip
        """The files of a gateway's certificate and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder("a gateway", key.public_key(), datetime.now(UTC) + ends_in)
        made = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False).sign(self.key, hashes.SHA256())
        directory.mkdir(parents=True, exist_ok=True)
        certificate, private = directory / "gateway.pem", directory / "gateway.key"
        certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate, private

    def _builder(self, subject: str, key: ec.EllipticCurvePublicKey, ends_at: datetime) -> x509.CertificateBuilder:
        return x509.CertificateBuilder(
            issuer_name=_name(self.name), subject_name=_name(subject), public_key=key,
            serial_number=x509.random_serial_number(), not_valid_before=ends_at - 10 * DAY, not_valid_after=ends_at,
        )  # fmt: skip


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
