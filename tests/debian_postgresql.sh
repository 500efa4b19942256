#!/usr/bin/env bash
# Debian's PostgreSQL with pgvector in a folder of its own, which is what the system has installed and nothing is added to;
# prints where its programs are, or why it cannot be had.
set -euo pipefail
folder=$(realpath --canonicalize-missing "${1:?folder}")
pgvector=http://deb.debian.org/debian/pool/main/p/pgvector/pgvector_0.8.0.orig.tar.gz

version=$(ls /usr/lib/postgresql 2>/dev/null | sort --numeric-sort | tail -1)
if [ -z "$version" ]; then
    echo "Debian's PostgreSQL is not installed (apt install postgresql)" >&2
    exit 1
fi
programs=$folder/usr/lib/postgresql/$version/bin
if [ ! -f "$folder/usr/share/postgresql/$version/extension/vector.control" ]; then
    mkdir -p "$folder/source" "$folder/usr/lib/postgresql" "$folder/usr/share/postgresql"
    cd "$folder"
    # It finds its files from where its programs are.
    cp -r "/usr/lib/postgresql/$version" usr/lib/postgresql/
    cp -r "/usr/share/postgresql/$version" usr/share/postgresql/
    if [ -f "/usr/share/postgresql/$version/extension/vector.control" ]; then
        echo "$programs"
        exit
    fi
    apt-get --quiet=2 download "postgresql-server-dev-$version" 2>/dev/null >&2
    dpkg --extract ./postgresql-server-dev-*.deb .
    curl --silent --show-error --fail --output pgvector.tar.gz "$pgvector"
    tar --extract --file pgvector.tar.gz --directory source --strip-components 1
    make --directory source PG_CONFIG="$programs/pg_config" with_llvm=no OPTFLAGS= install >build.log 2>&1
    # The server may run as another user than who built it.
    chmod --recursive a+rX "$folder"
fi
echo "$programs"
