"""The coordinator's database: an append-only log of messages, and the journal and balances that follow from it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, String, Table, create_engine, event, text
from sqlalchemy import insert as insert_into
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DatabaseError, OperationalError

from protocol.game.ledger import Transfer

FORMAT = "isobit-log-1"
TABLES = MetaData()
META = Table("meta", TABLES, Column("name", String, primary_key=True), Column("value", String, nullable=False))
# id is null where time alone passed; message and signature are empty then.
LOG = Table(
    "log",
    TABLES,
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("now", BigInteger, nullable=False),
    Column("id", LargeBinary, unique=True),
    Column("record", LargeBinary, nullable=False),
    Column("chain", LargeBinary, nullable=False),
)
JOURNAL = Table(
    "journal",
    TABLES,
    Column("sequence", Integer, primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("debit", String, nullable=False),
    Column("credit", String, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("purpose", String, nullable=False),
)
BALANCES = Table(
    "balances", TABLES, Column("account", String, primary_key=True), Column("balance", BigInteger, nullable=False)
)
APPEND_ONLY = ("log", "journal", "meta")
FIRST_CHAIN = hashlib.sha256(FORMAT.encode()).digest()


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the log. record: the signed message, empty where only time passed; chain: over all lines so far."""

    sequence: int
    now: int
    id: bytes | None
    record: bytes
    chain: bytes


def next_chain(chain: bytes, sequence: int, now: int, record: bytes) -> bytes:
    """The hash over a log one line longer."""
    head = sequence.to_bytes(8, "big") + now.to_bytes(8, "big")
    return hashlib.sha256(chain + head + hashlib.sha256(record).digest()).digest()


class Database:
    """One log. A second process that opens the same file is refused."""

    def __init__(self, url_or_path: str | Path, params_hash: str) -> None:
        url = str(url_or_path)
        self.url = url if "://" in url else f"sqlite:///{url}"
        self._engine = _engine(self.url)
        try:
            self.connection: Connection = self._engine.connect()
            self._prepare(params_hash)
        except OperationalError as error:
            raise ValueError(
                f"coordinator: {self.url} cannot be opened; is another coordinator using it? {error.orig}"
            ) from None
        except DatabaseError as error:
            raise self._damaged(error) from None

    def _damaged(self, error: DatabaseError) -> ValueError:
        return ValueError(f"coordinator: {self.url} is damaged, or no database: {error.orig}")

    def _prepare(self, params_hash: str) -> None:
        with self._transaction():
            TABLES.create_all(self.connection, checkfirst=True)
            if self.connection.dialect.name == "sqlite":
                _forbid_changes(self.connection)
            found: dict[str, str] = {row.name: row.value for row in self.connection.execute(META.select())}
            wanted = {"format": FORMAT, "params": params_hash}
            if not found:
                self.connection.execute(insert_into(META), [{"name": k, "value": v} for k, v in wanted.items()])
            elif found != wanted:
                raise ValueError(f"coordinator: {self.url} was written with {found}, want {wanted}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self.connection.begin():
            yield

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """A transaction that writes nothing; a ValueError where the file is damaged."""
        try:
            with self._transaction():
                yield
        except DatabaseError as error:
            raise self._damaged(error) from None

    def records(self) -> Iterator[Record]:
        """The log from its beginning."""
        with self._reading():
            rows = self.connection.execute(LOG.select().order_by(LOG.c.sequence)).all()
        return (Record(row.sequence, row.now, row.id, row.record, row.chain) for row in rows)

    def balances(self) -> dict[str, int]:
        """The stored balances."""
        with self._reading():
            return {row.account: row.balance for row in self.connection.execute(BALANCES.select())}

    def journal(self) -> list[Transfer]:
        """Every transfer ever made, in order."""
        with self._transaction():
            rows = self.connection.execute(JOURNAL.select().order_by(JOURNAL.c.sequence, JOURNAL.c.place)).all()
        return [Transfer(row.debit, row.credit, row.amount, row.purpose) for row in rows]

    def append(self, record: Record, transfers: tuple[Transfer, ...], changed: dict[str, int]) -> None:
        """Record and effect, both or neither."""
        with self._transaction():
            self.connection.execute(insert_into(LOG).values(**{c.name: getattr(record, c.name) for c in LOG.c}))
            for place, line in enumerate(transfers):
                fields = {"debit": line.debit, "credit": line.credit, "amount": line.amount, "purpose": line.purpose}
                self.connection.execute(insert_into(JOURNAL).values(sequence=record.sequence, place=place, **fields))
            for account, balance in changed.items():
                statement = upsert(BALANCES).values(account=account, balance=balance)
                self.connection.execute(
                    statement.on_conflict_do_update(index_elements=["account"], set_={"balance": balance})
                )

    def close(self) -> None:
        """Release the file."""
        self.connection.close()
        self._engine.dispose()


def _engine(url: str) -> Engine:
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _on_connect)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN EXCLUSIVE"))
    return engine


def _on_connect(connection: object, record: object) -> None:
    # The driver's own transactions would leave table creation outside; SQLAlchemy begins them instead.
    connection.isolation_level = None  # type: ignore[attr-defined]
    cursor = connection.cursor()  # type: ignore[attr-defined]
    for pragma in ("busy_timeout = 100", "locking_mode = EXCLUSIVE", "journal_mode = DELETE", "synchronous = FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _forbid_changes(connection: Connection) -> None:
    """What is written stays written, whoever asks."""
    for table in APPEND_ONLY:
        for action in ("UPDATE", "DELETE"):
            connection.execute(
                text(
                    f"CREATE TRIGGER IF NOT EXISTS {table}_no_{action.lower()} BEFORE {action} ON {table}"
                    f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
                )
            )
