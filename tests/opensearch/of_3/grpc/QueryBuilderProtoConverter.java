package org.opensearch.transport.grpc.spi;

/** By its name the plugin for vectors offers gRPC what it can; Maven has it not for each version, and nobody calls it. */
public interface QueryBuilderProtoConverter {}
