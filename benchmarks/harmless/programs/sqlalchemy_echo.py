"""SQLAlchemy: the statements of an engine with echo, and errors."""

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase): ...


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    password_hash: Mapped[str | None]
    password_changed_at: Mapped[str | None]


class ApiToken(Base):
    __tablename__ = "api_tokens"
    id: Mapped[int] = mapped_column(primary_key=True)
    token: Mapped[str | None] = mapped_column(sa.String(64), unique=True)
    secret_id: Mapped[int | None]
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))


for hidden in (False, True):
    engine = sa.create_engine("sqlite://", echo="debug", hide_parameters=hidden)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        for number in range(12):
            session.add(User(name=f"user{number}"))
        session.flush()
        session.add_all(ApiToken(user_id=number) for number in range(1, 9))
        session.commit()
        session.scalars(sa.select(ApiToken).join(User).where(User.name == "user3", ApiToken.token.is_not(None))).all()
        session.scalars(sa.select(User).where(User.password_hash.is_(None)).order_by(User.name).limit(5)).all()
        session.execute(sa.update(User).where(User.id < 5).values(password_hash=None))
        session.execute(sa.delete(ApiToken).where(ApiToken.token == sa.null()))
        session.execute(sa.text("SELECT password_hash FROM users WHERE id = :id"), {"id": 7})
        try:
            session.execute(sa.text("SELECT passwort FROM users WHERE id = :id"), {"id": 7})
        except sa.exc.OperationalError as error:
            print(error)
        session.rollback()
for dialect in ("postgresql", "mysql", "oracle", "mssql"):
    imported = __import__(f"sqlalchemy.dialects.{dialect}", fromlist=["dialect"]).dialect()
    for table in Base.metadata.sorted_tables:
        print(sa.schema.CreateTable(table).compile(dialect=imported))
        print(sa.update(table).compile(dialect=imported), sa.insert(table).compile(dialect=imported), sep="\n")
