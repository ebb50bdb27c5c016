# shellcheck shell=bash disable=SC2034 # used by those who source it
# Which server of documents: MONGO_URI; a mongod of this machine; the image mongo:7; or the embedded
# stand-in (deploy/mongo-stand-in), which speaks the same protocol. Needs ROOT.

MONGO_IMAGE=mongo:7
MONGO_STAND_IN=$ROOT/build/mongo-stand-in

# Says uri, mongod, docker, podman or stand-in.
mongo_choice() {
  local engine
  if [[ -n ${MONGO_URI:-} ]]; then
    echo uri
  elif command -v mongod >/dev/null; then
    echo mongod
  elif engine=$(container_engine_with_mongo); then
    echo "$engine"
  else
    echo stand-in
  fi
}

# An engine that answers, and has the image or gets it.
container_engine_with_mongo() {
  local engine
  for engine in docker podman; do
    command -v "$engine" >/dev/null || continue
    as_server_user timeout 10 "$engine" info >/dev/null 2>&1 || continue
    as_server_user timeout 10 "$engine" image inspect "$MONGO_IMAGE" >/dev/null 2>&1 ||
      as_server_user timeout 300 "$engine" pull -q "$MONGO_IMAGE" >/dev/null 2>&1 || continue
    echo "$engine"
    return 0
  done
  return 1
}

# Who will run the server is who must be able to: under scripts/up not root.
as_server_user() {
  if declare -F as_run_user >/dev/null; then as_run_user "$@"; else "$@"; fi
}

mongo_choice_in_words() {
  case $1 in
  uri) echo "the server that MONGO_URI names" ;;
  mongod) echo "mongod of this machine" ;;
  docker | podman) echo "$MONGO_IMAGE in $1" ;;
  stand-in) echo "the embedded stand-in (mongo-java-server)" ;;
  esac
}

# mongo_command CHOICE ADDRESS PORT FOLDER [STAND_IN_FOLDER]: fills the array `mongo_command_line`.
mongo_command() {
  local choice=$1 address=$2 port=$3 folder=$4 jars=${5:-$MONGO_STAND_IN}
  case $choice in
  mongod)
    mongo_command_line=(mongod --dbpath "$folder" --port "$port" --bind_ip "$address" --nounixsocket
      --wiredTigerCacheSizeGB 0.25)
    ;;
  docker | podman)
    mongo_command_line=("$choice" run --rm --name "salus-mongo-$port" -p "$address:$port:27017"
      -v "$folder:/data/db" "$MONGO_IMAGE" --wiredTigerCacheSizeGB 0.25)
    ;;
  stand-in)
    # A small machine's settings: it starts in less than a second, takes 60 to 150 MB, and leaves nothing in /tmp.
    # A thread a connection: who waits for a commit keeps nobody else waiting.
    mongo_command_line=(java -XX:-UsePerfData -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xss512k -Xmx192m
      -Dio.netty.eventLoopThreads=32 -Dslf4j.internal.verbosity=ERROR -cp "$jars/mongo-stand-in-1.jar:$jars/dependency/*"
      salus.MongoStandIn "$address" "$port" "$folder/documents.mv")
    ;;
  esac
}

# True when somebody listens there; each of the servers does so only when it is ready.
mongo_answers() { (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; }

# What tests and bench keep documents in; said once, because they prove no more than that.
ensure_documents() {
  local choice
  choice=$(mongo_choice)
  say "documents: $(mongo_choice_in_words "$choice")"
  [[ $choice == stand-in ]] || return 0
  ensure_packages mongo-stand-in
  make -s -C "$ROOT" mongo-stand-in
}
