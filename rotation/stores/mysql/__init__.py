"""MariaDB and MySQL: one folder for each kind of database."""
