# Makes a home for Elasticsearch in the current folder, out of the libraries in
# lib and of the files beside this one. usage: cd HOME && sh source/build.sh
set -eu
rm -rf classes config fill logs modules plugins
mkdir -p classes config fill logs modules/fill modules/transport-netty4 plugins

# The module for HTTP is loaded apart from the server.
mv lib/netty-*.jar lib/transport-netty4-*.jar modules/transport-netty4
(
	cd modules/transport-netty4
	jar xf transport-netty4-*.jar META-INF/es-plugins/transport-netty4
	mv META-INF/es-plugins/transport-netty4/* .
	rm -r META-INF
)

# What the server lacks is a module, too.
javac -d fill -cp 'lib/*' source/Fill.java
jar cf modules/fill/fill.jar -C fill .
cp source/plugin-descriptor.properties modules/fill

javac -d classes -cp 'lib/*' source/Node.java
cp source/log4j2.properties config
: >config/elasticsearch.yml
