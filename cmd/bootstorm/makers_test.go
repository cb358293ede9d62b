package main

// everyMaker are files for the phones of every maker, written by hand from what is known about them. Like files, they
// share nothing with the templates.
func everyMaker() []file {
	return append([]file{
		{`(spa504G|spa122)\.cfg`, `<flat-profile><Profile_Rule>[--uid u --pwd p] /own/spa$$MA.xml</Profile_Rule></flat-profile>`},
		{`(8851|6841)-3PCC\.xml`, `<flat-profile><Profile_Rule>own/spa$$MA.xml</Profile_Rule></flat-profile>`},
		{`own/spa000e08[0-9a-f]{6}\.xml`, `<flat-profile><Line_Enable_1_>Yes</Line_Enable_1_><User_ID_1_>101</User_ID_1_><Auth_ID_1_>auth-101</Auth_ID_1_><Password_1_>s3cret = 1</Password_1_>` +
			`<Proxy_1_>pbx.test</Proxy_1_><Use_Outbound_Proxy_1_>Yes</Use_Outbound_Proxy_1_><Outbound_Proxy_1_>HOST:PORT</Outbound_Proxy_1_><SIP_Transport_1_>TCP</SIP_Transport_1_>` +
			`<Line_Enable_2_>No</Line_Enable_2_><User_ID_2_>102</User_ID_2_></flat-profile>`},
		{`SEP0019AA[0-9A-F]{6}\.cnf\.xml`, `<device><devicePool><callManagerGroup><members><member priority="0"><callManager><processNodeName>HOST</processNodeName></callManager></member></members></callManagerGroup></devicePool>` +
			`<sipProfile><sipLines><line button="1"><featureID>9</featureID><proxy>USECALLMANAGER</proxy><port>PORT</port><name>101</name><authName>auth-101</authName><authPassword>s3cret = 1</authPassword></line></sipLines></sipProfile>` +
			`<transportLayerProtocol>1</transportLayerProtocol></device>`},
		{`0c383e[0-9a-f]{6}\.cfg`, `<sysConf><sip><line index="1"><PhoneNumber>101</PhoneNumber><RegisterUser>auth-101</RegisterUser><RegisterPswd>s3cret = 1</RegisterPswd><RegisterAddr>HOST</RegisterAddr><RegisterPort>PORT</RegisterPort>` +
			`<RegisterTTL>600</RegisterTTL><EnableReg>1</EnableReg><Transport>0</Transport></line><line index="2"><PhoneNumber>102</PhoneNumber><EnableReg>0</EnableReg></line></sip></sysConf>`},
		{`00a859[0-9a-f]{6}\.cfg`, `<VOIP_CONFIG_FILE><SIP_CONFIG_MODULE><SIP_Line_List><SIP_Line_List_Entry><Enable_Reg>0</Enable_Reg></SIP_Line_List_Entry><SIP_Line_List_Entry><Phone_Number>101</Phone_Number><Register_User>auth-101</Register_User>` +
			`<Register_Pswd>s3cret = 1</Register_Pswd><Register_Addr>HOST</Register_Addr><Register_Port>PORT</Register_Port><Enable_Reg>1</Enable_Reg></SIP_Line_List_Entry></SIP_Line_List></SIP_CONFIG_MODULE></VOIP_CONFIG_FILE>`},
		{`startup\.cfg`, "# everybody's\nsip transport protocol: 2\nlanguage 1: lang_de.txt\n"},
		{`00085D[0-9A-F]{6}\.cfg`, "!sip line1 user name: 101\nsip line1 auth name: auth-101\n^sip line1 password: \"s3cret = 1\"\nsip line1 registrar ip: HOST\nsip line1 registrar port: PORT\n"},
		{`MN_08000F[0-9A-F]{6}\.cfg`, `<Parameter Model="5330"><user_list><User State="1" ID="101" AuthName="auth-101" Pwd="s3cret = 1" RegSvr="HOST" RegPort="PORT" OutSvr="" OutPort="5060"/><User State="0" ID="102"/></user_list></Parameter>`},
		{`589EC6[0-9A-F]{6}\.xml`, `<provisioning version="1.1" productID="e2"><nvm><param name="SipProvider.7.Domain" value="example.test"/><param name="SipProvider.7.RegServerAddress" value="HOST"/><param name="SipProvider.7.RegServerPort" value="PORT"/>` +
			`<param name="SipAccount.00003.ProviderId" value="7"/><param name="SipAccount.00003.UserName" value="101"/><param name="SipAccount.00003.AuthName" value="auth-101"/><param name="SipAccount.00003.AuthPassword" value="s3cret = 1"/></nvm></provisioning>`},
		{`7C2F80[0-9A-F]{6}\.xml`, `<provisioning><nvm><param name="SIP.Account.0.Active" value="1"/><param name="SIP.Account.0.Username" value="101"/><param name="SIP.Account.0.AuthName" value="auth-101"/><param name="SIP.Account.0.AuthPassword" value="s3cret = 1"/>` +
			`<param name="SIP.Account.0.RegistrationServer.Address" value="HOST"/><param name="SIP.Account.0.RegistrationServer.Port" value="PORT"/></nvm></provisioning>`},
		{`002104[0-9A-F]{6}\.xml`, `<ProviderFrame><Provider><SYMB_ITEM ID="BS_IP_Data1.ucB_SIP_ACCOUNT_IS_ACTIVE_1" value="0x1"/><SYMB_ITEM ID="BS_IP_Data1.aucS_SIP_USER_ID" value='"101"'/><SYMB_ITEM ID="BS_IP_Data3.aucS_SIP_LOGIN_ID" value='"auth-101"'/>` +
			`<SYMB_ITEM ID="BS_IP_Data1.aucS_SIP_PASSWORD" value='"s3cret = 1"'/><SYMB_ITEM ID="BS_IP_Data1.aucS_SIP_REGISTRAR" value='"%HOST%"'/><SYMB_ITEM ID="BS_IP_Data1.uiI_SIP_REGISTRAR_PORT" value="%PORT%"/></Provider></ProviderFrame>`},
		{`00a0ba[0-9a-f]{6}\.cfg`, "cli version 3.20\nauthentication-service AUTH\n  username auth-101 password \"s3cret = 1\"\nlocation-service LOC\n  domain example.test\n  identity-group default\n    registration outbound\n      registrar 192.0.2.1\n" +
			"  identity 101\n    authentication outbound\n      authenticate authentication-service AUTH username auth-101\n    registration outbound\n      registrar HOST PORT\n      lifetime 600\n      preferred-transport-protocol udp\n"},
		{`00908f[0-9a-f]{6}\.cfg`, ";comment\nvoip/signalling/sip/proxy_address=HOST\nvoip/signalling/sip/proxy_port=PORT\nvoip/signalling/sip/transport_protocol=TCP\nvoip/line/0/enabled=0\nvoip/line/1/enabled=1\nvoip/line/1/id=101\nvoip/line/1/auth_name=auth-101\nvoip/line/1/auth_password=s3cret = 1\n"},
		{`linphone\.xml`, `<config><section name="proxy_0"><entry name="reg_proxy" overwrite="true">&lt;sip:HOST:PORT;transport=tcp&gt;</entry><entry name="reg_identity">"A &lt;B&gt;" &lt;sip:101@example.test&gt;</entry><entry name="reg_sendregister">1</entry></section>` +
			`<section name="auth_info_0"><entry name="userid">auth-101</entry><entry name="passwd">s3cret = 1</entry></section></config>`},
		{`acrobits\.xml`, `<account><username>101</username><authUsername>auth-101</authUsername><password>s3cret = 1</password><host>HOST:PORT</host><transport>udp</transport><expires>600</expires></account>`},
		{`zoiper\.xml`, `<options><accounts><account><username>101</username><SIP_auth_username>auth-101</SIP_auth_username><password>s3cret = 1</password><SIP_domain>HOST:PORT</SIP_domain></account></accounts></options>`},
		{`accounts`, "# mine\n\"A;B <C>\" <sip:101@example.test;transport=tcp>;auth_user=auth-101;auth_pass=\"s3cret = 1\";outbound=\"sip:HOST:PORT;transport=tcp\";regint=600\n"},
		{`0C1105[0-9A-F]{6}\.cfg`, "#!version:1.0.0.1\nConfig.Account1.GENERAL.Enable = 1\nConfig.Account1.GENERAL.UserName = 101\nConfig.Account1.GENERAL.AuthName = auth-101\nConfig.Account1.GENERAL.Pwd = s3cret = 1\nConfig.Account1.SIP.Server = HOST\nConfig.Account1.SIP.Port = PORT\n"},
		{`J100Supgrade\.txt|96x1Supgrade\.txt`, "## upgrade\nSET APPNAME none\nGET missing.txt\nGET 46xxsettings.txt\n"},
		{`46xxsettings\.txt`, "## everybody's\nSET SIPDOMAIN example.test\nGET $$MACADDR.cfg\n"},
		{`c81fea[0-9a-f]{6}\.cfg`, "SET FORCE_SIP_EXTENSION 101 ## comment\nSET FORCE_SIP_USERNAME auth-101\nSET FORCE_SIP_PASSWORD \"s3cret = 1\"\nSET SIP_CONTROLLER_LIST \"HOST:PORT;transport=tcp\"\n"},
		{`SIP001B4F[0-9A-F]{6}\.cfg`, "# own\nSIP_DOMAIN1 example.test\nSERVER_IP1_1 %HOST%\nSERVER_TCP_PORT1_1 %PORT%\nAUTOLOGIN_ID_KEY01 101@example.test\nAUTOLOGIN_AUTHID_KEY01 auth-101\nAUTOLOGIN_PASSWD_KEY01 s3cret = 1\n"},
		{`KX-[A-Z0-9]+\.cfg`, "# Panasonic SIP Phone Standard Format File #\r\nCFG_STANDARD_FILE_PATH=\"Config{MAC}.cfg\"\r\n\r\n"},
		{`Config0080F0[0-9A-F]{6}\.cfg`, "# Panasonic SIP Phone Standard Format File #\r\nSIP_URI_1=\"101@example.test\"\r\nSIP_AUTHID_1=\"auth-101\"\r\nSIP_PASS_1=\"s3cret = 1\"\r\nSIP_RGSTR_ADDR_1=\"%HOST%\"\r\nSIP_RGSTR_PORT_1=\"%PORT%\"\r\nLINE_ENABLE_2=\"Disabled\"\r\nSIP_URI_2=\"102\"\r\n\r\n"},
		{`0021f2[0-9a-f]{6}\.cfg`, "#!version:1.0.0.1\naccount.1.enable = 1\naccount.1.user_name = 101\naccount.1.auth_name = auth-101\naccount.1.password = s3cret = 1\naccount.1.sip_server.1.address = HOST\naccount.1.sip_server.1.port = PORT\n"},
		{`ST20[23][0-9]_00147F[0-9A-F]{6}\.txt`, "[sip]\nTEL01Use=1\nTEL1Number=101\nregid1=auth-101\nregpwd1=s3cret = 1\nRegisterServerMP1=HOST:PORT\n[sys]\nTEL1Number=9\n"},
		{`001ae8[0-9a-f]{6}_config\.xml`, `<DLSMessage xmlns="http://www.siemens.com/DLS"><Message><ItemList><Item name="e164">101</Item><Item name="sip-user-id">auth-101</Item><Item name="sip-pwd">s3cret = 1</Item><Item name="registrar-addr">HOST</Item><Item name="registrar-port">PORT</Item>` +
			`<Item name="sip-transport">1</Item><Item name="function-key-def" index="1">0</Item></ItemList></Message></DLSMessage>`},
		{`cfg(?:001fc1|005058)[0-9a-f]{6}\.xml`, `<hl_provision version="1"><config version="1"><P271 para="Account1.Active">1</P271><P47 para="Account1.Sipserver">HOST:PORT</P47><P35>101</P35><P36>auth-101</P36><P34>s3cret = 1</P34><P32>10</P32><P130>0</P130><P401>0</P401></config></hl_provision>`},
		{`000fd3[0-9a-f]{6}\.cfg`, `<config><setting id="login_password" value="x"/><accounts><account index="0" register="1" username="101" authname="auth-101" password="s3cret = 1"><host_primary server="HOST" port="PORT" transport="tcp" reregister="600"/></account></accounts></config>`},
		{`(?:VSP735|VCS754)_0011A0[0-9A-F]{6}\.cfg`, "sip_account.1.sip_account_enable = 1\nsip_account.1.user_id = 101\nsip_account.1.authentication_name = auth-101\nsip_account.1.authentication_access_password = s3cret = 1\nsip_account.1.primary_registration_server_address = HOST\nsip_account.1.primary_registration_server_port = PORT\n"},
		{`config\.3c28a6[0-9a-f]{6}\.xml`, `<settings><setting id="Account1Enable" value="true"/><setting id="Account1UserName" value="101"/><setting id="Account1RegName" value="auth-101"/><setting id="Account1Password" value="s3cret = 1"/><setting id="Account1Server1Address" value="HOST"/><setting id="Account1Server1Port" value="PORT"/></settings>`},
		{`algop[0-9]+\.conf`, "net.ll.lldp = 1\n"},
		{`algom0022EE[0-9A-F]{6}\.conf`, "sip.proxy = HOST:PORT\nsip.register.use = 1\nsip.u1.user = 101\nsip.u1.auth = auth-101\nsip.u1.pwd = s3cret = 1\n"},
		{`hipve-7c-1e-b3-.*\.xml`, `<DeviceDatabase Version="1"><Phone><Sip At="0"><User><Id>101</Id><AuthId>auth-101</AuthId><PasswordString>s3cret = 1</PasswordString></User><Client><Domain>example.test</Domain></Client>` +
			`<Registrar><Enabled>1</Enabled><Address>HOST</Address><Port>PORT</Port></Registrar></Sip><Sip At="1"><Registrar><Enabled>0</Enabled></Registrar></Sip></Phone></DeviceDatabase>`},
		{`ipst_config_00_13_cb_.*\.cfg`, "[sip]\n sip_id=101\n auth_user=auth-101\n auth_pwd=s3cret = 1\n sip_domain=HOST:PORT\n register_interval=600\n[call]\n sip_id=9\n"},
	}, files()...)
}
